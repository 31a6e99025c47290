//! Catches panics of remote functions, with message, location and backtrace.
//!
//! ```text
//!   catch(call) ── each poll: mark this thread ── panic! ──▶ hook: thread marked? capture details
//!        │                                                     └─▶ the previous hook
//!        └── catch_unwind: payload + captured details ──▶ CallFailure::Panicked
//! ```
//!
//! `catch_unwind` only returns the payload; only the process-wide panic hook sees the location. So
//! [`install`] puts a hook in front of the app's own. A thread is marked only while it polls a
//! call. Every poll marks its thread anew, so this also works for async functions that move between
//! threads.
//!
//! # Invariants
//!
//! * A panic outside a call is left alone: the hook passes it on and captures nothing.
//! * A panic inside a call still reaches the app's hook, so it is also in the runner's own log.
//! * Captured details are reported with the panic they belong to, never with a later one.
//! * Where a panic continues to unwind ([`PanicScope::enter`]), its payload is unchanged.
//!
//! With `panic = "abort"` nothing can be caught: the runner dies, and its parent reports that.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

use flame_wire::failure::CallFailure;
use flame_wire::sync::{Mutex, MutexGuard};

mod frames;
#[cfg(test)]
mod tests;

type PanicPayload = Box<dyn Any + Send>;
type Panicked = (PanicPayload, Option<PanicDetails>);

thread_local! {
    /// The number of calls that this thread is inside of: more than one when calls are nested.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The details of this thread's last panic inside a call.
    static DETAILS: RefCell<Option<PanicDetails>> = const { RefCell::new(None) };
}

/// The details of a panic that only the hook can see.
#[derive(Debug)]
struct PanicDetails {
    message: String,
    location: Option<String>,
    backtrace: Backtrace,
}

/// Puts the hook in front of the current one. Later calls in the same process do nothing.
///
/// A hook that the app sets later replaces it. Panics are still caught then, but without location
/// and backtrace.
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

/// Runs a call until it ends or panics. [`PanicScope::catch`] for a call without blocking threads.
///
/// # Errors
///
/// As [`PanicScope::catch`].
pub async fn catch<F: Future>(call: F) -> Result<F::Output, CallFailure> {
    PanicScope::default().catch(call).await
}

/// Runs synchronous code on this thread until it ends or panics.
///
/// # Errors
///
/// As [`PanicScope::catch`].
pub fn catch_blocking<T>(work: impl FnOnce() -> T) -> Result<T, CallFailure> {
    catch_with_details(work).map_err(|(payload, details)| failure(payload, details))
}

/// Connects the parts of one call that run on different threads: the future in
/// [`PanicScope::catch`], and the blocking thread whose panic that future resumes.
#[derive(Debug, Default)]
pub struct PanicScope {
    on_blocking_thread: Mutex<Option<PanicDetails>>,
}

impl PanicScope {
    /// Runs a call until it ends or panics. The call is dropped inside, so panics of destructors
    /// are caught as well.
    ///
    /// For a stream, catch each `next()`, and drop the stream in [`catch_blocking`].
    ///
    /// # Errors
    ///
    /// [`CallFailure::Panicked`]; with location and backtrace if [`install`] has been called.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call.
    pub async fn catch<F: Future>(&self, call: F) -> Result<F::Output, CallFailure> {
        let mut slot = pin!(Some(call));
        let output = poll_fn(|cx| {
            let polled = catch_with_details(|| match slot.as_mut().as_pin_mut() {
                Some(call) => call.poll(cx),
                // The slot is emptied only after this future is done.
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

    /// Runs the call's synchronous code on its blocking thread. A panic continues with its payload
    /// unchanged, and [`PanicScope::catch`] has its details when it arrives there.
    ///
    /// # Panics
    ///
    /// Resumes the panic of `work`.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        catch_with_details(work).unwrap_or_else(|(payload, details)| {
            *self.on_blocking_thread() = details;
            panic::resume_unwind(payload)
        })
    }

    fn on_blocking_thread(&self) -> MutexGuard<'_, Option<PanicDetails>> {
        self.on_blocking_thread.lock()
    }
}

/// Whether this thread is inside a call that [`catch`] or [`catch_blocking`] runs.
#[must_use]
pub fn in_call() -> bool {
    DEPTH.get() > 0
}

fn capture(info: &PanicHookInfo<'_>) {
    // A thread that is being torn down is in no call, and its thread-locals are gone.
    if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
        return;
    }
    let details = PanicDetails {
        message: message(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: Backtrace::force_capture(),
    };
    // This fails only for a panic while `DETAILS` is borrowed, and no code that borrows it can
    // panic.
    let _ = DETAILS.try_with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = Some(details)));
}

/// Runs `work` with this thread marked.
fn catch_with_details<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    struct DepthGuard;
    impl Drop for DepthGuard {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    let depth = DEPTH.get();
    if depth == 0 {
        // Details of an earlier call's panic that the app caught by itself.
        DETAILS.take();
    }
    DEPTH.set(depth.saturating_add(1));
    let guard = DepthGuard;
    // After a panic the work is dropped, so no code sees the broken state that it may be in.
    let caught =
        panic::catch_unwind(AssertUnwindSafe(|| frames::flame_begin_short_backtrace(work)));
    drop(guard);
    caught.map_err(|payload| (payload, DETAILS.take()))
}

fn failure(payload: PanicPayload, details: Option<PanicDetails>) -> CallFailure {
    let message = message(&*payload);
    // The destructor of a payload is the app's code and may panic in its turn. That panic is
    // ignored.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    // The details of a panic that the app caught by itself may still be here. They must not be
    // attached to a payload that the app resumes later without the hook.
    let (location, backtrace) = match details {
        Some(details) if details.message == message => {
            (details.location, frames::of_the_call(&details.backtrace))
        }
        _ => (None, None),
    };
    CallFailure::Panicked { message, location, backtrace }
}

/// The text of a payload: that of `panic!`, or of an error given to `panic_any`; otherwise a
/// placeholder.
fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else if let Some(error) = payload.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        error.to_string()
    } else {
        "panicked with a value that is not text".to_owned()
    }
}
