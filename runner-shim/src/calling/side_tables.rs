//! The side tables of one value that crosses, while it is being encoded or decoded.
//!
//! serde gives a value's own `Serialize` no way to reach the message it becomes part of, so the
//! tables wait in a thread-local for as long as one synchronous encode or decode takes.
//!
//! Invariants:
//! - A crossing is never open across an await: [`SideTables::scope`] runs a plain closure.
//! - Scopes nest, and the outer one comes back also when the inner one panics.
//! - With no crossing open, a blob is plain bytes, and a channel end or a held value is an error.

use std::cell::RefCell;

use super::{blob::BlobTable, channel::ChannelTable, held::HeldTable};

thread_local! {
    static OPEN: RefCell<Option<SideTables>> = const { RefCell::new(None) };
}

/// What travels beside one value: collected while it is encoded, supplied while it is decoded.
///
/// The default has no tables: everything that needs one is refused.
#[derive(Default)]
pub(crate) struct SideTables {
    pub(crate) blobs: BlobTable,
    pub(crate) channel_ends: ChannelTable,
    pub(crate) held: HeldTable,
}

impl SideTables {
    /// Runs `f` with this crossing open on this thread. What `f` collects is in `self` afterwards.
    pub(crate) fn scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let outer = OPEN.replace(Some(std::mem::take(self)));
        let _restore = Restore { tables: self, outer };
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
    tables: &'a mut SideTables,
    outer: Option<SideTables>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.tables = OPEN.replace(self.outer.take()).unwrap_or_default();
    }
}
