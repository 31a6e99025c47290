use flame_aws::remote;

#[remote]
fn f() -> Result<impl Stream<Item = u32>, String> {
    todo()
}

fn main() {}
