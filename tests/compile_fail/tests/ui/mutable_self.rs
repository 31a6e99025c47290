use flame_aws::remote;

struct Counter(u32);

#[remote]
impl Counter {
    #[remote]
    async fn count(&mut self) {
        self.0 += 1;
    }
}

fn main() {}
