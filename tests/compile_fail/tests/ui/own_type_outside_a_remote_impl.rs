use flame_aws::remote;

struct Counter(u32);

impl Counter {
    #[remote]
    async fn new() -> Self {
        Counter(0)
    }
}

fn main() {}
