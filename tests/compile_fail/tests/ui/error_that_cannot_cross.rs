use flame_aws::remote;

struct Failed;

#[remote]
async fn f() -> Result<u32, Failed> {
    Ok(1)
}

fn main() {}
