use flame_aws::remote;

#[remote]
async fn f(text: impl Into<String>) {}

fn main() {}
