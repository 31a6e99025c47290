#[flame_aws::test(worker_threads = 0)]
async fn doubles() {
    assert_eq!(21 * 2, 42);
}

fn main() {}
