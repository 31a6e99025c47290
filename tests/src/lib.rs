//! The harness of the integration tests, and the remote functions that they call.
//!
//! A suite is one binary whose [`main`](suite) is that of an app: started by a pool it is a
//! runner, else it runs its tests. So the copies are real copies.

pub mod demo;
mod harness;

pub use harness::{Test, process_pool, suite, test, until};
