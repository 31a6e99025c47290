//! The side tables of one value that crosses, while it is being encoded or decoded.
//!
//! serde gives a value's own `Serialize` no way to reach the message it becomes part of, so the
//! tables wait in a thread-local for as long as one synchronous encode or decode takes.
//!
//! Invariants:
//! - A crossing is never open across an await: [`Crossing::scope`] runs a plain closure.
//! - Scopes nest, and the outer one comes back also when the inner one panics.
//! - With no crossing open, a blob is plain bytes, and a channel end or a held value is an error.

use std::cell::RefCell;

use super::{blob::Blobs, channel::Ends, held::Helds};

thread_local! {
    static OPEN: RefCell<Option<Crossing>> = const { RefCell::new(None) };
}

/// What travels beside one value: collected while it is encoded, supplied while it is decoded.
///
/// The default has no tables: everything that needs one is refused.
#[derive(Default)]
pub(crate) struct Crossing {
    pub(crate) blobs: Blobs,
    pub(crate) ends: Ends,
    pub(crate) helds: Helds,
}

impl Crossing {
    /// Runs `f` with this crossing open on this thread. What `f` collects is in `self` afterwards.
    pub(crate) fn scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let outer = OPEN.replace(Some(std::mem::take(self)));
        let _restore = Restore { crossing: self, outer };
        f()
    }

    /// Reaches the open crossing; `None` where there is none. `f` must not run code of the app,
    /// which could reach for the crossing again.
    pub(crate) fn with<R>(f: impl FnOnce(&mut Self) -> R) -> Option<R> {
        OPEN.with_borrow_mut(|open| open.as_mut().map(f))
    }

    /// Whether a value on this thread is crossing just now.
    pub(crate) fn is_open() -> bool {
        OPEN.with_borrow(Option::is_some)
    }
}

/// Closes a scope, however it ends.
struct Restore<'a> {
    crossing: &'a mut Crossing,
    outer: Option<Crossing>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.crossing = OPEN.replace(self.outer.take()).unwrap_or_default();
    }
}
