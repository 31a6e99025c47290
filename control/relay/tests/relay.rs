//! A relay over real sockets, with raw WebSocket clients as parents and runners.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic fails a test")]

#[path = "relay/harness.rs"]
mod harness;

#[path = "relay/binary.rs"]
mod binary;
#[path = "relay/drain.rs"]
mod drain;
#[path = "relay/limits.rs"]
mod limits;
#[path = "relay/memory.rs"]
mod memory;
#[path = "relay/page.rs"]
mod page;
#[path = "relay/pairs.rs"]
mod pairs;
#[path = "relay/refusals.rs"]
mod refusals;
#[path = "relay/strangers.rs"]
mod strangers;
