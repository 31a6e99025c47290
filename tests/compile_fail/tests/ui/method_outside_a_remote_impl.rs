use flame_aws::remote;

struct Counter(u32);

impl Counter {
    #[remote]
    async fn count(&self) -> u32 {
        self.0
    }
}

fn main() {}
