//! The side tables of one value, while it is being encoded or decoded.
//!
//! serde gives a value's own `Serialize` no access to the message that the value becomes part of.
//! So the tables are in a thread-local during one synchronous encode or decode.
//!
//! Invariants:
//! - The tables are never open across an await: [`SideTables::scope`] runs a plain closure.
//! - Scopes nest, and the outer tables are restored even if the inner scope panics.
//! - With no tables open, a blob is plain bytes, and a channel end or a held value is an error.

use std::cell::RefCell;

use super::{blob::BlobTable, channel::ChannelTable, held::HeldTable};

thread_local! {
    static OPEN: RefCell<Option<SideTables>> = const { RefCell::new(None) };
}

/// The data that is sent next to one value: collected during encoding, available during decoding.
///
/// By default there are no tables, and values that need one are rejected.
#[derive(Default)]
pub(crate) struct SideTables {
    pub(crate) blobs: BlobTable,
    pub(crate) channel_ends: ChannelTable,
    pub(crate) held: HeldTable,
}

impl SideTables {
    /// Runs `f` with these tables open on this thread. Afterwards `self` has what `f` collected.
    pub(crate) fn scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let outer = OPEN.replace(Some(std::mem::take(self)));
        let _restore = Restore { tables: self, outer };
        f()
    }

    /// Gives `f` access to the open tables; `None` if there are none. `f` must not run code of the
    /// app, which could access the tables again.
    pub(crate) fn with<R>(f: impl FnOnce(&mut Self) -> R) -> Option<R> {
        OPEN.with_borrow_mut(|open| open.as_mut().map(f))
    }

    /// Whether tables are open on this thread.
    pub(crate) fn is_open() -> bool {
        OPEN.with_borrow(Option::is_some)
    }
}

/// Closes a scope, also after a panic.
struct Restore<'a> {
    tables: &'a mut SideTables,
    outer: Option<SideTables>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.tables = OPEN.replace(self.outer.take()).unwrap_or_default();
    }
}
