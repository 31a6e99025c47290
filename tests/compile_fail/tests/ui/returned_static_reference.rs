use flame_aws::remote;

#[remote]
async fn f() -> Result<&'static str, String> {
    Ok("text")
}

fn main() {}
