use flame_aws::remote;

struct Counter(u32);

impl Counter {
    const FIRST: u32 = 0;

    #[remote]
    async fn first() -> u32 {
        Self::FIRST
    }
}

fn main() {}
