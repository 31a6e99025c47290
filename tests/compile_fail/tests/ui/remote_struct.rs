use flame_aws::remote;

#[remote]
struct Page;

fn main() {}
