use flame_aws::remote;

#[remote(fast)]
async fn f() {}

fn main() {}
