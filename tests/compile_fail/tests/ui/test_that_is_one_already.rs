#[flame_aws::test]
#[test]
async fn doubles() {
    assert_eq!(21 * 2, 42);
}

fn main() {}
