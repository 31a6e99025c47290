use flame_aws::remote;

#[remote]
async fn f(text: &'static str) {}

fn main() {}
