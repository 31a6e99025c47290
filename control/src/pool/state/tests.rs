//! The pool's rules, one claim at a time.

mod bars;
mod boots;
mod defects;
mod elsewhere;
mod expiry;
mod leases;
mod life;
pub(super) mod sim;
