use flame_aws::remote;

#[remote]
async fn f(#[state] log: &dyn std::fmt::Debug) {}

fn main() {}
