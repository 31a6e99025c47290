use flame_aws::remote;

#[remote]
unsafe fn f() {}

fn main() {}
