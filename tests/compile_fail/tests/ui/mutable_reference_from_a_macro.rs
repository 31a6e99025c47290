macro_rules! remote {
    ($of:ty) => {
        #[flame_aws::remote]
        async fn frames(count: $of) {}
    };
}

remote!(&mut u32);

fn main() {}
