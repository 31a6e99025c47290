//! A terminal view of pools.
fn main() {}
