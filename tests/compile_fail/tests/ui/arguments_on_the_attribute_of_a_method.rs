use flame_aws::remote;

struct A;

#[remote]
impl A {
    #[remote(fast)]
    async fn f() {}
}

fn main() {}
