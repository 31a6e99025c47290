use flame_aws::remote;

#[remote]
async fn f(#[cfg(unix)] text: String) {}

fn main() {}
