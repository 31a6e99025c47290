use flame_aws::remote;

#[remote]
async fn f() -> impl Stream<Item = u32> {
    todo()
}

fn main() {}
