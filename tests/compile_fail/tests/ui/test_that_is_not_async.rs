#[flame_aws::test]
fn doubles() {
    assert_eq!(21 * 2, 42);
}

fn main() {}
