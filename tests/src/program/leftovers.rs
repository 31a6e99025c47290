//! Parents with runners whose functions have started processes and left them running.

use std::time::Duration;

use futures_util::future::join_all;

use crate::demo::{self, commands};
use crate::{process, process_pool};

/// Has two runners, with one leftover process each, and waits.
pub(super) async fn keeps_leftover_processes() {
    let pool = process_pool("leftovers").min(2).max(2).start().await.unwrap();
    pool.ready().await;
    for left in join_all((0..2).map(|_| pool.call(commands::leaves_a_process()))).await {
        super::report_pid("left", left.unwrap().unwrap());
    }
    println!("ready");
    std::future::pending().await
}

/// Has a runner with a leftover process, and returns from `main` without draining its pool.
pub(super) async fn exits_with_leftover_processes() {
    let pool = process_pool("leftovers").max(1).start().await.unwrap();
    super::report_pid("left", pool.call(commands::leaves_a_process()).await.unwrap().unwrap());
    println!("ready");
}

/// Drains two pools in turn, and checks after each that no child process is left.
pub(super) async fn drains_every_child() {
    for _ in 0..2 {
        let pool = process_pool("drains").max(1).start().await.unwrap();
        pool.call(demo::double(1)).await.unwrap();
        assert!(!process::children(std::process::id()).is_empty());
        pool.drain().await;
        crate::until("no child is left", || process::children(std::process::id()).is_empty()).await;
    }
}

/// Has a runner that gives up its privileges in `main`, and whose reconnect timeout is long.
pub(super) async fn with_an_unprivileged_runner() {
    let backend = flame_aws::backend::Process::new().env("DEMO_DROP_PRIVILEGES", "1");
    let pool = process_pool("unprivileged").max(1).backend(backend);
    let pool = pool.reconnect_timeout(Duration::from_secs(600)).start().await.unwrap();
    super::report_pid("runner", pool.call(demo::pid()).await.unwrap());
    println!("ready");
    std::future::pending().await
}
