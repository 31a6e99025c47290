use flame_aws::remote;

#[remote]
fn f(numbers: ...) {}

fn main() {}
