//! Commands that a function on a runner starts.

use crate::{demo, process_pool};

/// Uses no pool, and prints whether it is a runner.
pub(super) fn command_without_a_pool() {
    println!("a runner: {}", flame_aws::is_runner());
}

/// Has a pool of its own, and prints the result of a call.
pub(super) async fn command_with_a_pool() {
    let pool = process_pool("command").min(1).max(1).start().await.unwrap();
    pool.ready().await;
    println!("{}", pool.call(demo::double(21)).await.unwrap());
    pool.drain().await;
}
