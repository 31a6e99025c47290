use flame_aws::remote;

#[remote]
fn f() -> impl Stream {
    todo()
}

fn main() {}
