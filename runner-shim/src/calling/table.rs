//! The table of remote functions, built by the linker.
//!
//! Every `#[remote]` function of the app and of its dependencies is a [`FunctionEntry`]. Parent and
//! runner are the same executable, so they have the same table, and a [`FunctionId`] names the same
//! function on both. [`check`] runs once at the start. After it, no call can fail because a
//! function has no entry, and no function in the crate with the app's `main` lacks its state. A
//! dependency may have functions that the app never calls, so their state is checked at each call.

mod check;
mod id;

use std::{collections::HashMap, fmt, sync::OnceLock};

use flame_wire::ids::FunctionId;

pub use check::{TableError, check, crate_of};
#[cfg(test)]
pub(super) use check::{check_names, check_states};

use super::{
    codec::CodecError,
    invoke::{Arguments, PreparedCall},
    state::StateNeed,
};

/// Every remote function linked into this executable, in no particular order.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static ENTRIES: [FunctionEntry];

/// One remote function.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FunctionEntry {
    /// Names the function on the wire: a hash of the following fields, without location and states.
    pub id: FunctionId,
    /// Module path and name, `app::thumbs::thumbnails`.
    pub name: &'static str,
    /// Version of the crate that contains the function.
    pub version: &'static str,
    /// Argument and result types as written in the source, without `#[state]` parameters.
    pub signature: &'static str,
    /// How it runs.
    pub kind: Kind,
    /// Where the function is written.
    pub location: Location,
    /// The states that the function needs.
    pub states: &'static [StateNeed],
    invoke: Invoke,
}

type Invoke = fn(Arguments) -> Result<PreparedCall, CodecError>;

impl FunctionEntry {
    /// An entry of the table. Only `#[remote]` calls this.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        (name, version, signature): (&'static str, &'static str, &'static str),
        kind: Kind,
        location: Location,
        states: &'static [StateNeed],
        invoke: Invoke,
    ) -> Self {
        let id = id::function_id(name, version, signature, kind);
        Self { id, name, version, signature, kind, location, states, invoke }
    }

    /// Decodes the arguments and prepares the call.
    ///
    /// No code of the function's body has run when this returns. It runs when the future or the
    /// stream of the [`PreparedCall`] is polled.
    ///
    /// # Errors
    /// If the arguments do not decode, or a state that the function needs is missing.
    ///
    /// # Panics
    /// If the `Deserialize` of an argument panics. Call this where panics are caught.
    pub fn invoke(&self, arguments: Arguments) -> Result<PreparedCall, CodecError> {
        self.check_states()?;
        (self.invoke)(arguments)
    }

    /// Checks that this process has the states that the function needs.
    pub(super) fn check_states(&self) -> Result<(), CodecError> {
        match self.states.iter().find(|need| !need.is_met()) {
            Some(need) => Err(CodecError::MissingState { function: self.name, state: need.name() }),
            None => Ok(()),
        }
    }

    /// The crate that contains the function.
    fn crate_name(&self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(first, _)| first)
    }
}

/// How a remote function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `async fn`: as a future on the runtime.
    Async,
    /// Plain `fn`: on a blocking thread.
    Plain,
    /// `-> impl Stream`: each item is sent as soon as it is ready.
    Stream,
}

/// A place in the app's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Path as the compiler got it.
    pub file: &'static str,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Every remote function of this executable, sorted by name, version and location.
pub fn table() -> &'static [&'static FunctionEntry] {
    static TABLE: OnceLock<Vec<&'static FunctionEntry>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table: Vec<_> = ENTRIES.iter().collect();
        table.sort_by_key(|entry| (entry.name, entry.version, entry.location));
        table
    })
}

/// The function with this id, if this executable has it.
#[must_use]
pub fn find(id: FunctionId) -> Option<&'static FunctionEntry> {
    static BY_ID: OnceLock<HashMap<FunctionId, &'static FunctionEntry>> = OnceLock::new();
    BY_ID.get_or_init(|| table().iter().map(|entry| (entry.id, *entry)).collect()).get(&id).copied()
}
