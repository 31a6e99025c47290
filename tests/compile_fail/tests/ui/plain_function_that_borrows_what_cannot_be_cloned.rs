use flame_aws::{Receiver, remote};

#[remote]
fn f(_numbers: &Receiver<u32>) {}

fn main() {}
