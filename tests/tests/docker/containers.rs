//! The configuration of a container, and its end when all goes well.

use flame_aws::{BootFailureKind, CallError, PoolEvent, Size};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::demo::{commands, containers};
use flame_tests::docker::Recorder;
use flame_tests::{PoolBackend, Test, Watcher, demo, docker, generic_runner, on, pool, tests};
use serde_json::json;

use crate::common::{pool_on, start_error};

pub(crate) fn tests() -> Vec<Test> {
    let simple = tests![a_drained_pool_leaves_no_container];
    let others = tests![
        limits_environment_and_labels_reach_the_container,
        an_engine_is_asked_for_gpus,
        a_size_that_the_machine_does_not_have_is_rejected_at_the_start,
        runner_and_backend_agree_on_the_name,
        docker_stop_lets_calls_finish,
        processes_that_functions_leave_behind_are_reaped,
        code_sync_takes_the_app_to_a_generic_runner,
    ];
    [on(PoolBackend::Docker, &simple), others].concat()
}

async fn a_drained_pool_leaves_no_container() {
    let pool = pool("drained").min(2).start().await.unwrap();
    pool.ready().await;
    let names: Vec<_> =
        pool.snapshot().runners.iter().filter_map(|one| one.instance.clone()).collect();
    let engine = docker::shared();
    let there = engine.containers().await;
    assert!(
        names.len() == 2 && names.iter().all(|name| there.contains(name)),
        "{names:?} {there:?}"
    );
    pool.drain().await;
    let there = engine.containers().await;
    assert!(!names.iter().any(|name| there.contains(name)), "{there:?}");
}

async fn limits_environment_and_labels_reach_the_container() {
    let engine = docker::shared();
    let backend = engine.backend().memory(512).env("ROLE", "runner").label("team", "video");
    let size = Size::new().vcpus(0.5);
    let pool = pool_on("limits", backend).size(size).start().await.unwrap();
    assert_eq!(pool.call(demo::variable("ROLE")).await.unwrap().as_deref(), Some("runner"));
    let name = pool.snapshot().runners[0].instance.clone().unwrap();
    let container = engine.client().inspect_container(&name, None).await.unwrap();
    let host = container.host_config.unwrap();
    assert_eq!(host.memory, Some(512 << 20));
    let quota = host.cpu_quota.unwrap_or_default() * 2 == host.cpu_period.unwrap_or_default();
    assert!(host.nano_cpus == Some(500_000_000) || quota, "{host:?}");
    let labels = container.config.unwrap().labels.unwrap();
    assert_eq!(labels.get("team").map(String::as_str), Some("video"));
    assert_eq!(labels.get("flame:pool").map(String::as_str), Some("limits"));
    pool.drain().await;
}

async fn an_engine_is_asked_for_gpus() {
    let engine = docker::shared();
    let recorder = Recorder::start(&engine).await;
    let backend = || engine.backend().host(recorder.host());
    let pools = [
        pool_on("gpus", backend().gpus(2)),
        pool_on("gpus", backend()).size(Size::new().gpus(3)),
        pool_on("gpus", backend().all_gpus()),
    ];
    for pool in pools {
        let pool = pool.start().await.unwrap();
        match pool.call(demo::double(1)).await {
            // podman 4.3 takes the wish for GPUs, and does not fulfil it.
            Ok(_) => {}
            Err(CallError::BootFailed(failure)) => {
                assert_eq!(failure.kind, BootFailureKind::Misconfigured, "{failure}");
                assert!(failure.reason.contains("NVIDIA Container Toolkit"), "{failure}");
            }
            Err(other) => panic!("{other}"),
        }
        pool.drain().await;
    }
    let asked = recorder.bodies("/containers/create").into_iter();
    let asked: Vec<_> = asked.map(|body| body["HostConfig"]["DeviceRequests"].clone()).collect();
    let gpus = |count: i64| json!([{ "Count": count, "Capabilities": [["gpu"]] }]);
    assert_eq!(asked, [gpus(2), gpus(3), gpus(-1)]);
}

async fn runner_and_backend_agree_on_the_name() {
    let pool = pool_on("name", docker::shared().backend()).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let snapshot = pool.snapshot();
    let runner = &snapshot.runners[0];
    assert_eq!(runner.host, flame_aws::HostKind::Docker);
    assert_eq!(runner.instance.as_deref(), Some(format!("flame-{}", runner.runner).as_str()));
    pool.drain().await;
}

async fn docker_stop_lets_calls_finish() {
    let engine = docker::shared();
    let pool = pool_on("stopped", engine.backend()).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    pool.call(demo::double(1)).await.unwrap();
    let name = pool.snapshot().runners[0].instance.clone().unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    gate.entered().await;
    let client = engine.client();
    let stopping = tokio::spawn(async move { client.stop_container(&name, None).await });
    watcher.next(|event| matches!(event, PoolEvent::Draining { .. }).then_some(())).await;
    gate.open();
    call.await.unwrap().unwrap().unwrap();
    watcher.next(|event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
    stopping.await.unwrap().unwrap();
    pool.drain().await;
}

async fn processes_that_functions_leave_behind_are_reaped() {
    let pool = pool_on("leftovers", docker::shared().backend()).start().await.unwrap();
    let zombies = pool.call(containers::leaves_an_orphan_that_exits()).await.unwrap();
    assert_eq!(zombies.unwrap(), 0, "process 1 of the container has to reap its orphans");
    // A process that runs on ends with its container.
    pool.call(commands::leaves_a_process()).await.unwrap().unwrap();
    pool.drain().await;
}

async fn code_sync_takes_the_app_to_a_generic_runner() {
    let runner = generic_runner().await;
    let engine = docker::shared();
    // The image has no folder for temporary files.
    let backend = engine.backend_of(&runner).env("FLAME_CODE_DIR", "/code");
    let pool = pool_on("synced", backend).code_sync(true).start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    pool.drain().await;
}

async fn a_size_that_the_machine_does_not_have_is_rejected_at_the_start() {
    let engine = docker::shared();
    let size = Size::new().vcpus(5_000.0);
    let error = start_error(pool_on("huge", engine.backend()).size(size)).await;
    assert!(error.contains("`vcpus` 5000 of") && error.contains("engine's machine"), "{error}");
}
