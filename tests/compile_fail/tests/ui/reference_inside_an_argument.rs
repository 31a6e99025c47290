use flame_aws::remote;

#[remote]
async fn f(text: Option<&str>) {}

fn main() {}
