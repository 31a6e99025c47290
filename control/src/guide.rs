//! The guide. One page for each question:
//!
//! - [`testing`]: tests of code that uses pools.
//! - [`backend`]: how to write a backend.

pub mod backend;
pub mod testing;
