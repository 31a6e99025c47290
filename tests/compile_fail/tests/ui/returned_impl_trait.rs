use flame_aws::remote;

#[remote]
async fn f() -> impl std::fmt::Debug {
    1
}

fn main() {}
