use flame_aws::remote;

#[remote]
async fn f(shown: &dyn std::fmt::Debug) {}

fn main() {}
