//! The rules of the pool, one claim per test.

mod blocked_boots;
mod boots;
mod budgets;
mod burst_calls;
mod defects;
mod expiry;
mod leases;
mod life;
mod requests;
pub(super) mod sim;
