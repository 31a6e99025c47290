use flame_aws::remote;

#[remote]
const fn f() {}

fn main() {}
