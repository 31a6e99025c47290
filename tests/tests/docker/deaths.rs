//! Containers that die, and what their callers learn.

use std::net::Ipv4Addr;

use flame_aws::testing::Conformance;
use flame_aws::{CallError, Pool};
use flame_tests::demo::{containers, misbehaving};
use flame_tests::docker::Recorder;
use flame_tests::{Test, demo, docker, process, tests};

use crate::common::pool_on;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_process_is_a_lost_runner,
        a_function_that_kills_its_process_is_a_lost_runner,
        a_removed_container_is_said_to_be_removed,
        a_runner_out_of_memory_is_said_to_be,
        a_dropped_pool_leaves_no_container,
        a_container_that_the_engine_can_not_end_at_once_is_ended,
    ]
}

/// Makes a call that never returns, does something to its container, and returns how the call
/// fails. Then the pool must still work, and leave nothing.
async fn lost(name: &str, harm: impl AsyncFnOnce(&docker::Engine, &str)) -> String {
    let engine = docker::shared();
    let pool = pool_on(name, engine.backend()).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let container = pool.snapshot().runners[0].instance.clone().unwrap();
    let call = tokio::spawn(pool.call(demo::forever().timeout(None)).into_future());
    flame_tests::until("the call runs", || pool.snapshot().leased == 1).await;
    harm(&engine, &container).await;
    let reason = reason(call.await.unwrap());
    finish(&engine, pool, &container).await;
    reason
}

fn reason(result: Result<(), CallError>) -> String {
    match result {
        Err(CallError::RunnerLost { started: true, reason, .. }) => reason,
        other => panic!("the runner has to be lost: {other:?}"),
    }
}

async fn finish(engine: &docker::Engine, pool: Pool, container: &str) {
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "another runner serves");
    pool.drain().await;
    let left = engine.containers().await;
    assert!(!left.iter().any(|name| name == container), "{left:?}");
}

async fn a_killed_process_is_a_lost_runner() {
    let reason = lost("killed", async |engine, container| {
        let state = engine.client().inspect_container(container, None).await.unwrap().state;
        process::kill(u32::try_from(state.unwrap().pid.unwrap()).unwrap());
    });
    let reason = reason.await;
    assert!(reason.contains("137") && reason.contains("SIGKILL"), "{reason}");
}

async fn a_function_that_kills_its_process_is_a_lost_runner() {
    let pool = pool_on("dies", docker::shared().backend()).start().await.unwrap();
    let reason = reason(pool.call(misbehaving::dies()).await);
    assert!(reason.contains("137"), "{reason}");
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    pool.drain().await;
}

async fn a_removed_container_is_said_to_be_removed() {
    let engine = docker::shared();
    let pool = pool_on("removed-by-hand", engine.backend().env("DEMO_HANG_IN_BOOT", "1"));
    let pool = pool.start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(1)).into_future());
    let container = loop {
        let there = engine.with_label("flame:pool=removed-by-hand").await;
        let Some(name) = there.into_iter().next() else { continue };
        let container = engine.client().inspect_container(&name, None).await.unwrap();
        if container.state.and_then(|state| state.running) == Some(true) {
            break name;
        }
    };
    let force =
        bollard::query_parameters::RemoveContainerOptions { force: true, ..Default::default() };
    engine.client().remove_container(&container, Some(force)).await.unwrap();
    let failed = call.await.unwrap();
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    // podman lets the process end by SIGTERM first, and announces its exit before the removal.
    let is_told = failure.reason.contains("removed") || failure.reason.contains("SIGTERM");
    assert!(is_told, "{failure}");
    pool.drain().await;
}

async fn a_runner_out_of_memory_is_said_to_be() {
    let engine = docker::shared();
    let pool = pool_on("greedy", engine.backend().memory(128)).start().await.unwrap();
    let reason = reason(pool.call(containers::uses_memory(1 << 30)).await);
    assert!(reason.contains("out of memory") && reason.contains("`memory`"), "{reason}");
    pool.drain().await;
}

async fn a_dropped_pool_leaves_no_container() {
    let engine = docker::shared();
    let pool = pool_on("dropped", engine.backend().env("DEMO_HANG_IN_BOOT", "1")).min(1);
    let pool = pool.start().await.unwrap();
    let of_pool = || async { engine.with_label("flame:pool=dropped").await };
    while of_pool().await.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(pool);
    while !of_pool().await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// podman fails for a moment if it is busy with the same container, and Docker if it can't unmount
/// the container's file system yet.
async fn a_container_that_the_engine_can_not_end_at_once_is_ended() {
    let engine = docker::shared();
    let recorder = Recorder::start(&engine).await;
    let host = recorder.host();
    let suite = Conformance::of(move || engine.backend().host(&host).build());
    let checks = suite.listen((Ipv4Addr::UNSPECIFIED, 0).into()).checks();
    let check = checks.iter().find(|check| check.name() == "stop_ends_an_instance_that_is_booting");
    recorder.fail_next("DELETE", 2);
    check.expect("the suite has this check").run().await.unwrap();
    assert_eq!(recorder.failures_left(), 0);
}
