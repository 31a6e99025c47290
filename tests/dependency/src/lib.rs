//! A library with a remote function, for suites that depend on it and never call the function.
//!
//! The function needs a state that no suite registers, and the library uses flame-aws under another
//! name.

use flame::remote;

/// A state that no suite registers.
#[derive(Clone, Debug)]
pub struct Settings;

/// Needs the [`Settings`] state.
#[remote(crate = flame)]
pub async fn needs_state(#[state] _: Settings) {}
