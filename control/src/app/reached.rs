//! Whether this process has reached [`App::run`](super::App::run).
//!
//! A copy of this process becomes a runner only if it reaches `App::run`. If this process has not
//! reached it, its copies may not reach it either; under a test harness, for example, they would
//! run all tests, and boot copies as well. So until `App::run` is reached, a pool boots no copies,
//! and a process that was started as a runner starts no pool.

use flame_wire::sync::Mutex;

type ReachedCallback = Box<dyn FnOnce() + Send>;

/// The callbacks that wait for `App::run`; `None` once it is reached.
static WAITING: Mutex<Option<Vec<ReachedCallback>>> = Mutex::new(Some(Vec::new()));

/// Called when `App::run` is about to run the parent's closure, or to serve. The callbacks have run
/// when this returns, so the closure never sees a pool whose boots are blocked.
pub(super) fn mark_reached() {
    let waiting = WAITING.lock().take();
    waiting.into_iter().flatten().for_each(|callback| callback());
}

/// Whether `App::run` is reached.
pub(crate) fn is_reached() -> bool {
    WAITING.lock().is_none()
}

/// Calls `callback` once `App::run` is reached; at once if it is already.
pub(crate) fn when_reached(callback: impl FnOnce() + Send + 'static) {
    let mut waiting = WAITING.lock();
    if let Some(waiting) = waiting.as_mut() {
        return waiting.push(Box::new(callback));
    }
    drop(waiting);
    callback();
}
