use flame_aws::remote;

#[remote]
fn f(text: &str) -> impl Stream<Item = u32> {
    todo()
}

fn main() {}
