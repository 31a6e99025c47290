//! The table of remote functions, built by the linker.
//!
//! Every `#[remote]` function of the app and of its dependencies is an [`FunctionEntry`]. Both ends are
//! the same executable, so both have the same table, and a [`FunctionId`] names the same function
//! on both. [`check`] runs once at start, before the first call: what it accepts cannot fail later
//! for want of an entry; nor, in the crate that has the app's `main`, for want of a state. A
//! dependency may have functions that the app never calls, so theirs is asked for by each call.

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
    state::{self, State},
};

/// Every remote function linked into this executable, in no particular order.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static ENTRIES: [FunctionEntry];

/// One remote function.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FunctionEntry {
    /// Names the function on the wire: a hash of all below that is not its location.
    pub id: FunctionId,
    /// Module path and name, `app::thumbs::thumbnails`.
    pub name: &'static str,
    /// Version of the crate that has the function.
    pub version: &'static str,
    /// Argument and result types as written, without the states.
    pub signature: &'static str,
    /// How it runs.
    pub kind: Kind,
    /// Where it is written.
    pub location: Location,
    /// What it needs of the app's state.
    pub states: &'static [StateNeed],
    invoke: Invoke,
}

type Invoke = fn(Arguments) -> Result<PreparedCall, CodecError>;

impl FunctionEntry {
    /// An entry of the table; made by `#[remote]` alone.
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

    /// Decodes the arguments and makes the call ready to run.
    ///
    /// Nothing of the function's body has run when this returns; it runs as the future or the
    /// stream of the [`PreparedCall`] is polled.
    ///
    /// # Errors
    /// When the arguments do not decode, or a state the function needs is missing.
    ///
    /// # Panics
    /// When the `Deserialize` of an argument panics. Call it where panics are caught.
    pub fn invoke(&self, arguments: Arguments) -> Result<PreparedCall, CodecError> {
        self.check_states()?;
        (self.invoke)(arguments)
    }

    /// Whether this process has the state that the function needs.
    pub(super) fn check_states(&self) -> Result<(), CodecError> {
        match self.states.iter().find(|need| !need.is_met()) {
            Some(need) => Err(CodecError::MissingState { function: self.name, state: need.name() }),
            None => Ok(()),
        }
    }

    /// The crate that has the function.
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
    /// `-> impl Stream`: items go as they are made.
    Stream,
}

/// A place in the app's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Path as the compiler was given it.
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

/// One type of state that a function needs on the side that runs it.
#[derive(Debug, Clone, Copy)]
pub struct StateNeed {
    name: fn() -> &'static str,
    is_met: fn() -> bool,
}

impl StateNeed {
    /// The need for a state of type `T`.
    #[must_use]
    pub const fn new<T: State>() -> Self {
        Self { name: std::any::type_name::<T>, is_met: state::has::<T> }
    }

    /// The type's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Whether the app has registered it.
    #[must_use]
    pub fn is_met(&self) -> bool {
        (self.is_met)()
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

/// The function of that id, if this executable has it.
#[must_use]
pub fn find(id: FunctionId) -> Option<&'static FunctionEntry> {
    static BY_ID: OnceLock<HashMap<FunctionId, &'static FunctionEntry>> = OnceLock::new();
    BY_ID.get_or_init(|| table().iter().map(|entry| (entry.id, *entry)).collect()).get(&id).copied()
}
