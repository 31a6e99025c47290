use flame_aws::remote;

#[remote]
fn f() -> impl Future<Output = u32> {
    std::future::ready(1)
}

fn main() {}
