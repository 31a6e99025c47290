//! Panics of remote functions, caught with message, location and backtrace.
//!
//! ```text
//!   catch(call) ── each poll: mark this thread ── panic! ──▶ hook: thread marked? keep where and how
//!        │                                                     └─▶ the hook that was there before
//!        └── catch_unwind: payload + what the hook kept ──▶ Failure::Panicked
//! ```
//!
//! `catch_unwind` sees the payload alone; only the process-wide panic hook sees where it came from.
//! So [`install`] puts one in front of the app's own. A thread is marked only while it polls a call,
//! which also holds for async functions that move between threads, since every poll marks anew.
//!
//! # Invariants
//!
//! * A panic outside a call is untouched: the hook passes it on and keeps nothing.
//! * A panic inside a call still reaches the app's hook, so it is also in the runner's own log.
//! * What the hook kept goes with the panic it was kept for, never with a later one.
//! * Payloads are passed on as they are where a panic goes on unwinding ([`PanicScope::enter`]).
//!
//! With `panic = "abort"` nothing can be caught: such a runner dies, and its parent says so.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::task::Poll;

use flame_wire::failure::Failure;

mod frames;
#[cfg(test)]
mod tests;

type PanicPayload = Box<dyn Any + Send>;
type Panicked = (PanicPayload, Option<PanicDetails>);

thread_local! {
    /// Calls that this thread is inside of: more than one when a call is run within another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What the hook kept of this thread's last panic inside a call.
    static DETAILS: RefCell<Option<PanicDetails>> = const { RefCell::new(None) };
}

/// What the hook knows and the payload does not.
#[derive(Debug)]
struct PanicDetails {
    message: String,
    location: Option<String>,
    backtrace: Backtrace,
}

/// Puts the hook in front of the one that is there. Once per process; later calls do nothing.
///
/// A hook that the app sets after this replaces it: panics are still caught then, but without
/// location and backtrace.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            capture(info);
            previous(info);
        }));
    });
}

/// Runs a call to its end, or to its panic: [`PanicScope::catch`] for one without blocking threads.
///
/// # Errors
///
/// As [`PanicScope::catch`].
pub async fn catch<F: Future>(call: F) -> Result<F::Output, Failure> {
    PanicScope::default().catch(call).await
}

/// Runs plain code to its end, or to its panic, on this thread.
///
/// # Errors
///
/// As [`PanicScope::catch`].
pub fn catch_blocking<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_with_details(work).map_err(|(payload, details)| failure(payload, details))
}

/// Ties the parts of one call together that run on different threads at once: the future that
/// [`PanicScope::catch`] watches, and the blocking thread whose panic that future resumes.
#[derive(Debug, Default)]
pub struct PanicScope {
    on_blocking_thread: Mutex<Option<PanicDetails>>,
}

impl PanicScope {
    /// Runs a call to its end, or to its panic. The call is dropped inside, so a destructor that
    /// panics is caught as well.
    ///
    /// For a stream, catch each `next()`, and drop the stream in [`catch_blocking`].
    ///
    /// # Errors
    ///
    /// [`Failure::Panicked`]; with location and backtrace if [`install`] has been called.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call.
    pub async fn catch<F: Future>(&self, call: F) -> Result<F::Output, Failure> {
        let mut slot = pin!(Some(call));
        let output = poll_fn(|cx| {
            let polled = catch_with_details(|| match slot.as_mut().as_pin_mut() {
                Some(call) => call.poll(cx),
                // The slot is emptied only once this has been awaited.
                None => Poll::Pending,
            });
            match polled {
                Ok(poll) => poll.map(Ok),
                Err(panicked) => Poll::Ready(Err(panicked)),
            }
        })
        .await;
        let dropped = catch_with_details(|| slot.set(None));
        output.and_then(|output| dropped.map(|()| output)).map_err(|(payload, details)| {
            let on_blocking_thread = self.on_blocking_thread().take();
            failure(payload, details.or(on_blocking_thread))
        })
    }

    /// Runs plain code of the call on the blocking thread it was given. Its panic goes on, payload
    /// unchanged, and is known to [`PanicScope::catch`] when it gets there.
    ///
    /// # Panics
    ///
    /// With the panic of `work`.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        catch_with_details(work).unwrap_or_else(|(payload, details)| {
            *self.on_blocking_thread() = details;
            panic::resume_unwind(payload)
        })
    }

    fn on_blocking_thread(&self) -> MutexGuard<'_, Option<PanicDetails>> {
        // Nothing can panic while it is locked: each use is one assignment.
        self.on_blocking_thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this thread is inside a call that [`catch`] or [`catch_blocking`] watches.
#[must_use]
pub fn in_call() -> bool {
    DEPTH.get() > 0
}

fn capture(info: &PanicHookInfo<'_>) {
    // A thread that is being torn down has no marks any more, and no call either.
    if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
        return;
    }
    let details = PanicDetails {
        message: message(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: Backtrace::force_capture(),
    };
    // Only a panic while `DETAILS` is borrowed fails here, and none of its users can panic.
    let _ = DETAILS.try_with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = Some(details)));
}

/// Runs `work` on a marked thread.
fn catch_with_details<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    struct DepthGuard;
    impl Drop for DepthGuard {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    let depth = DEPTH.get();
    if depth == 0 {
        // What an earlier call's panic left behind when the app caught it by itself.
        DETAILS.take();
    }
    DEPTH.set(depth.saturating_add(1));
    let guard = DepthGuard;
    // The work is dropped unseen after a panic: no broken state of it is ever observed.
    let caught =
        panic::catch_unwind(AssertUnwindSafe(|| frames::flame_begin_short_backtrace(work)));
    drop(guard);
    caught.map_err(|payload| (payload, DETAILS.take()))
}

fn failure(payload: PanicPayload, details: Option<PanicDetails>) -> Failure {
    let message = message(&*payload);
    // A payload's destructor is the app's code and may panic in its turn; it has been heard.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    // A panic that the app caught by itself leaves its traces behind; a payload that it resumed
    // later without the hook must not be given them.
    let (location, backtrace) = match details {
        Some(details) if details.message == message => {
            (details.location, frames::of_the_call(&details.backtrace))
        }
        _ => (None, None),
    };
    Failure::Panicked { message, location, backtrace }
}

/// The text of a payload: that of `panic!`, of an error given to `panic_any`, or a note that it has
/// none.
fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else if let Some(error) = payload.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        error.to_string()
    } else {
        "panicked with a value that is no text".to_owned()
    }
}
