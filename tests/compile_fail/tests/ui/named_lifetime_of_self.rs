use flame_aws::remote;

struct Counter(u32);

#[remote]
impl Counter {
    #[remote]
    async fn count(&'static self) {}
}

fn main() {}
