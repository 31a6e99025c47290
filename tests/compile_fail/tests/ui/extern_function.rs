use flame_aws::remote;

#[remote]
extern "C" fn f() {}

fn main() {}
