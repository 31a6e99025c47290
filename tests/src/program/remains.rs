//! Parents whose runners' functions start processes, and leave them.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{demo, mischief, process, process_pool};

/// Has two runners, on each of which a function has left a process; does nothing else.
pub(super) async fn with_remains() {
    let pool = process_pool("remains").min(2).max(2).start().await.unwrap();
    pool.ready().await;
    for left in join_all((0..2).map(|_| pool.call(mischief::leaves_a_grandchild()))).await {
        super::tell("left", left.unwrap().unwrap());
    }
    println!("ready");
    std::future::pending().await
}

/// The same, and ends by itself without draining its pool.
pub(super) async fn leaves_remains() {
    let pool = process_pool("remains").max(1).start().await.unwrap();
    super::tell("left", pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap());
    println!("ready");
}

/// Drains its pools, and sees that it has no child any more.
pub(super) async fn drains_and_has_no_child() {
    for _ in 0..2 {
        let pool = process_pool("cleans").max(1).start().await.unwrap();
        pool.call(demo::double(1)).await.unwrap();
        assert!(!process::children(std::process::id()).is_empty());
        pool.drain().await;
        crate::until("no child is left", || process::children(std::process::id()).is_empty()).await;
    }
}

/// Has a runner that has given up its privileges in its `main`, and would wait for its parent.
pub(super) async fn with_an_unprivileged_runner() {
    let backend = flame_aws::backend::Process::new().env("DEMO_DROP_PRIVILEGES", "1");
    let pool = process_pool("unprivileged").max(1).backend(backend);
    let pool = pool.reconnect_timeout(Duration::from_secs(600)).start().await.unwrap();
    super::tell("runner", pool.call(demo::pid()).await.unwrap());
    println!("ready");
    std::future::pending().await
}
