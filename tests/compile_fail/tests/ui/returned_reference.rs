use flame_aws::remote;

#[remote]
async fn f(text: &str) -> &str {
    text
}

fn main() {}
