use flame_aws::remote;

#[remote]
async fn f(#[state] name: &str) {}

fn main() {}
