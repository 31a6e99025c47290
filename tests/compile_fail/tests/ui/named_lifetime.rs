use flame_aws::remote;

#[remote]
async fn f<'a>(text: &'a str) {}

fn main() {}
