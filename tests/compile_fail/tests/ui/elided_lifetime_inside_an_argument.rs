use flame_aws::remote;

#[remote]
async fn f(text: std::borrow::Cow<'_, str>) {}

fn main() {}
