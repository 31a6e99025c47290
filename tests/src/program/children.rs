//! Parents with child processes in various states.

use std::time::Duration;

use flame_aws::{PoolEvent, Sender, channel};
use flame_runner_shim::code_sync;
use rustix::process::Signal;

use crate::demo::{self, misbehaving, nesting};
use crate::{process, process_pool};

/// Has four children: one idle, one busy, one stopped and one booting.
pub(super) async fn children_in_every_state() {
    let idle = process_pool("idle").min(1).max(1).start().await.unwrap();
    idle.ready().await;
    super::report_pid("idle", process::pids(&idle)[0]);

    let busy = process_pool("busy").max(1).timeout(None).start().await.unwrap();
    super::report_pid("busy", busy.call(demo::pid()).await.unwrap());
    let _spinning = tokio::spawn(busy.call(misbehaving::spins()));

    let stopped = process_pool("stopped").max(1).start().await.unwrap();
    let pid = stopped.call(demo::pid()).await.unwrap();
    process::signal(pid, Signal::STOP);
    crate::until("the child is stopped", || process::is_stopped(pid)).await;
    super::report_pid("stopped", pid);

    let folder = crate::TempDir::new();
    let hangs = flame_aws::backend::Process::new()
        .env("DEMO_HANG_IN_BOOT", "1")
        .env("DEMO_WRITE_PARENT_TO", folder.path());
    let _booting = process_pool("booting").min(1).backend(hangs).start().await.unwrap();
    crate::until("the child boots", || !folder.files().is_empty()).await;
    let pid = folder.files()[0].file_name().and_then(|name| name.to_str()?.parse().ok());
    super::report_pid("booting", pid.expect("the file is named after the child"));

    println!("ready");
    std::future::pending().await
}

/// Has a child that has a child of its own.
pub(super) async fn child_with_a_child() {
    let pool = process_pool("parents").max(1).timeout(None).start().await.unwrap();
    let (pids, mut received): (Sender<u32>, _) = channel(2);
    let _child = tokio::spawn(pool.call(nesting::keeps_a_spinning_child(pids)));
    super::report_pid("child", received.recv().await.unwrap().unwrap());
    super::report_pid("grandchild", received.recv().await.unwrap().unwrap());
    println!("ready");
    std::future::pending().await
}

/// Has one child, with a short reconnect timeout.
pub(super) async fn impatient_parent() {
    let pool = process_pool("impatient").min(1).max(1).keepalive_timeout(Duration::from_secs(1));
    let pool = pool.reconnect_timeout(Duration::from_millis(1500)).start().await.unwrap();
    // The runner has heard of its parent when it answers.
    pool.call(demo::pid()).await.unwrap();
    println!("ready");
    std::future::pending().await
}

/// Boots children, one after the other, until it is killed.
pub(super) async fn boots_without_end() {
    let pool = process_pool("booting").max(4).max_concurrency(1).single_use(true);
    let pool = pool.start().await.unwrap();
    println!("ready");
    loop {
        let calls = (0..4).map(|_| pool.call(demo::pid()));
        futures_util::future::join_all(calls).await;
    }
}

/// Returns from `main` with children that are idle, busy and booting.
pub(super) async fn exits_with_live_children() {
    let pool = process_pool("exits").max(4).max_concurrency(1).timeout(None);
    let pool = pool.start().await.unwrap();
    pool.call(demo::pid()).await.unwrap();
    let mut watcher = crate::Watcher::new(&pool);
    let _busy = tokio::spawn(pool.call(misbehaving::spins()));
    watcher.next(|event| matches!(event, PoolEvent::CallStarted { .. }).then_some(())).await;
    let _booting = tokio::spawn(pool.call(demo::pid()));
    watcher.next(|event| matches!(event, PoolEvent::GrowStart { .. }).then_some(())).await;
    println!("returning");
}

/// Has a child that started as another build and replaced itself by this build through `code_sync`.
pub(super) async fn code_synced_child() {
    let folder = crate::TempDir::new();
    let backend = flame_aws::backend::Process::new()
        .program(crate::other_build(folder.path()))
        .env(code_sync::FOLDER_ENV, folder.path().join("cache"));
    let pool = process_pool("synced").max(1).backend(backend).code_sync(true);
    let pool = pool.boot_timeout(Duration::from_secs(60)).start().await.unwrap();
    super::report_pid("synced", pool.call(demo::pid()).await.unwrap());
    // The child executes a file that stays readable although its name is removed.
    drop(folder);
    println!("ready");
    std::future::pending().await
}
