use flame_aws::remote;

struct Counter(u32);

#[remote]
unsafe impl Counter {
    #[remote]
    async fn count(&self) {}
}

fn main() {}
