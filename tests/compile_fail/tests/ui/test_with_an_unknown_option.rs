#[flame_aws::test(flavor = "current_thread")]
async fn doubles() {
    assert_eq!(21 * 2, 42);
}

fn main() {}
