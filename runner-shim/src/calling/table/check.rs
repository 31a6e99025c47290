//! Checks the table at the start of the app.

use std::collections::HashMap;

use super::{FunctionEntry, Location, table};

/// Why this executable's remote functions cannot be served.
///
/// Found at the start, before the first call. Each message says where the problem is and what to
/// change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Two functions have the same name, so a call could reach the wrong one.
    #[error(
        "two remote functions are called `{name}` (version {version}): one at {first}, the other at \
         {second}; rename one of them, or move it to another module"
    )]
    Duplicate {
        /// Module path and name.
        name: &'static str,
        /// Version of the crate that contains both.
        version: &'static str,
        /// Where the first is written.
        first: Location,
        /// Where the second is written.
        second: Location,
    },
    /// Two functions with different names have the same id. The chance for a pair is one in 2^64.
    #[error(
        "the remote functions `{first_name}` ({first}) and `{second_name}` ({second}) have the \
         same 64-bit id by chance; rename one of them"
    )]
    SameId {
        /// Module path and name of the first.
        first_name: &'static str,
        /// Where the first is written.
        first: Location,
        /// Module path and name of the second.
        second_name: &'static str,
        /// Where the second is written.
        second: Location,
    },
    /// A function in the crate with the app's `main` has a `#[state]` parameter of a type that the
    /// app has not registered.
    #[error(
        "`{function}` ({location}) takes `#[state]` of type `{state}`, which this app has not \
         registered; add `.state(..)` with a value of that type to `App::new()`, before `run`{}",
        also(.others)
    )]
    MissingState {
        /// The type's name.
        state: &'static str,
        /// The first function that needs it.
        function: &'static str,
        /// Where that function is written.
        location: Location,
        /// The other functions that need it.
        others: Vec<&'static str>,
    },
}

fn also(others: &[&str]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!(" (also needed by {})", others.join(", "))
    }
}

/// Checks that every function of the table has a unique name and id, and that the functions of the
/// crate `main` have the states they need.
///
/// `App::run` calls it once, after the states are registered, on parent and runner. Functions of
/// other crates may never be called, so a state that they lack is an error of the call:
/// [`CodecError::MissingState`](crate::calling::CodecError::MissingState).
///
/// # Errors
/// The first problem found: [`TableError::Duplicate`], [`TableError::SameId`] or
/// [`TableError::MissingState`].
pub fn check(main: Option<&str>) -> Result<(), TableError> {
    check_names(table())?;
    check_states(table(), main)
}

/// The crate of a function or a closure, taken from the name of its type.
#[must_use]
pub fn crate_of<F>(_: &F) -> Option<&'static str> {
    // `app::parent`, `app::main::{{closure}}`, `<app::Type as app::Trait>::method::{{closure}}`.
    let name = std::any::type_name::<F>().trim_start_matches(['<', '&']);
    let (first, _) = name.split_once("::")?;
    let is_of_a_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    first.chars().all(is_of_a_name).then_some(first)
}

/// `entries` are sorted by name and version.
pub(crate) fn check_names(entries: &[&'static FunctionEntry]) -> Result<(), TableError> {
    for pair in entries.windows(2) {
        if let [a, b] = pair
            && (a.name, a.version) == (b.name, b.version)
        {
            return Err(TableError::Duplicate {
                name: a.name,
                version: a.version,
                first: a.location,
                second: b.location,
            });
        }
    }
    let mut seen = HashMap::new();
    for b in entries {
        if let Some(a) = seen.insert(b.id, *b) {
            return Err(TableError::SameId {
                first_name: a.name,
                first: a.location,
                second_name: b.name,
                second: b.location,
            });
        }
    }
    Ok(())
}

pub(crate) fn check_states(
    entries: &[&'static FunctionEntry],
    main: Option<&str>,
) -> Result<(), TableError> {
    let own = || entries.iter().filter(|entry| Some(entry.crate_name()) == main);
    let lacking = own().find_map(|entry| {
        let need = entry.states.iter().find(|need| !need.is_met())?;
        Some((entry, need.name()))
    });
    let Some((first, state)) = lacking else { return Ok(()) };
    let lacks = |entry: &&&'static FunctionEntry| {
        entry.states.iter().any(|need| need.name() == state && !need.is_met())
    };
    Err(TableError::MissingState {
        state,
        function: first.name,
        location: first.location,
        others: own().filter(lacks).skip(1).map(|other| other.name).collect(),
    })
}
