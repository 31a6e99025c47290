//! A library with a remote function, as an app may depend on one that it never calls.
//!
//! Its function needs a state that no suite registers, and it has flame-aws under another name.

use flame::remote;

/// A state that no suite registers.
#[derive(Clone, Debug)]
pub struct Settings;

/// A function that needs it.
#[remote(crate = flame)]
pub async fn needs_state(#[state] _: Settings) {}
