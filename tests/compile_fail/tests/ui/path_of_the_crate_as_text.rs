#[flame_aws::remote(crate = "flame_aws")]
async fn frames() {}

fn main() {}
