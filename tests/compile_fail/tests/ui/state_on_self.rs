use flame_aws::remote;

struct Counter(u32);

#[remote]
impl Counter {
    #[remote]
    async fn count(#[state] &self) {}
}

fn main() {}
