use flame_aws::remote;

#[remote]
async fn f(#[state] words: &[String]) {}

fn main() {}
