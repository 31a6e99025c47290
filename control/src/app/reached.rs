//! Whether this process has reached [`App::run`](super::App::run).
//!
//! A copy that is started as this process was becomes a runner only if it gets as far as
//! `App::run`. A process that has not got there itself, as one that runs the tests of a harness, has
//! no reason to believe that its copies would: they would do what it does, and start copies as well.
//! So its pools boot no such copies, and a process that is a runner starts no pool at all before it
//! serves.

use std::sync::{Mutex, MutexGuard, PoisonError};

type Then = Box<dyn FnOnce() + Send>;

/// What is to be done when it is reached; `None` once it is, for good.
static WAITING: Mutex<Option<Vec<Then>>> = Mutex::new(Some(Vec::new()));

/// `App::run` is about to run the parent's closure, or to serve. What waits for it is done when this
/// returns, so that no pool is barred inside the closure.
pub(super) fn set() {
    let waiting = lock().take();
    waiting.into_iter().flatten().for_each(|then| then());
}

/// Whether it is reached.
pub(crate) fn is() -> bool {
    lock().is_none()
}

/// Does something once it is reached: now, if it is.
pub(crate) fn then(then: impl FnOnce() + Send + 'static) {
    let mut waiting = lock();
    if let Some(waiting) = waiting.as_mut() {
        return waiting.push(Box::new(then));
    }
    drop(waiting);
    then();
}

fn lock() -> MutexGuard<'static, Option<Vec<Then>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
