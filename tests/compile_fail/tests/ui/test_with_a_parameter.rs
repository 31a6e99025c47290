#[flame_aws::test]
async fn doubles(n: u32) {
    assert_eq!(n * 2, 42);
}

fn main() {}
