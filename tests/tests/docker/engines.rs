//! Engines that are gone, restart, do not answer, or have a full disk.

use std::time::Duration;

use flame_aws::{BootFailureKind, CallError};
use flame_tests::demo::misbehaving;
use flame_tests::docker::Podman;
use flame_tests::{Test, demo, process, tests};
use tokio::time::Instant;

use crate::common::{boot_failure, in_background, pool_on, start_error};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_engine_that_is_not_there_is_named,
        runners_survive_the_engines_restart_and_deaths_meanwhile_are_noticed,
        an_engine_that_restarts_delays_a_boot,
        an_engine_that_does_not_answer_fails_start_and_boot_in_time,
        an_engine_that_finishes_slowly_with_dead_containers_gives_the_same_reasons,
        a_full_disk_fails_the_boot_with_the_reason,
    ]
}

async fn an_engine_that_is_not_there_is_named() {
    let podman = in_background(Podman::start).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let pool = pool_on("gone", engine.backend()).boot_timeout(Duration::from_secs(4));
    let pool = pool.start().await.unwrap();
    podman.kill();
    let error = start_error(pool_on("test", engine.backend())).await;
    assert!(error.contains(&podman.host()) && error.contains("can't be reached"), "{error}");
    let failure = boot_failure(&pool).await;
    assert!(
        matches!(failure.kind, BootFailureKind::Unavailable | BootFailureKind::TimedOut),
        "{failure}"
    );
    pool.drain().await;
    podman.serve().unwrap();
    engine.left_over().await.unwrap();
}

async fn runners_survive_the_engines_restart_and_deaths_meanwhile_are_noticed() {
    let podman = in_background(Podman::start).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let pool = pool_on("restart", engine.backend()).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let name = pool.snapshot().runners[0].instance.clone().unwrap();
    let state = engine.client().inspect_container(&name, None).await.unwrap().state.unwrap();
    let pid = u32::try_from(state.pid.unwrap()).unwrap();

    podman.kill();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "calls need no engine");
    let call = tokio::spawn(pool.call(demo::forever().timeout(None)).into_future());
    flame_tests::until("the call runs", || pool.snapshot().leased == 1).await;
    process::kill(pid);
    podman.serve().unwrap();
    let lost = call.await.unwrap();
    let Err(CallError::RunnerLost { reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("137"), "{reason}");
    assert_eq!(pool.call(demo::double(3)).await.unwrap(), 6);
    pool.drain().await;
    assert_eq!(engine.containers().await, [""; 0]);
}

async fn an_engine_that_restarts_delays_a_boot() {
    let podman = in_background(Podman::start).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let pool = pool_on("delayed", engine.backend()).start().await.unwrap();
    podman.kill();
    let call = tokio::spawn(pool.call(demo::double(4)).into_future());
    flame_tests::until("the boot has begun", || pool.snapshot().booting == 1).await;
    podman.serve().unwrap();
    assert_eq!(call.await.unwrap().unwrap(), 8);
    pool.drain().await;
    assert_eq!(engine.containers().await, [""; 0]);
}

async fn an_engine_that_does_not_answer_fails_start_and_boot_in_time() {
    let podman = in_background(Podman::start).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let pool = pool_on("silent", engine.backend()).boot_timeout(Duration::from_secs(16));
    let pool = pool.start().await.unwrap();
    podman.pause(true);
    let (begun, call) = (Instant::now(), boot_failure(&pool));
    let (failure, error) = tokio::join!(call, start_error(pool_on("test", engine.backend())));
    assert!(begun.elapsed() < Duration::from_secs(60), "neither waits without a limit");
    assert_eq!(failure.kind, BootFailureKind::Unavailable, "{failure}");
    for text in [failure.to_string(), error] {
        assert!(text.contains("did not answer within"), "{text}");
    }
    podman.pause(false);
    // The engine may create the container now.
    pool.drain().await;
    engine.left_over().await.unwrap();
}

/// Until podman has finished with a dead container, it does not know the exit code, and fails to answer some
/// questions about all containers.
async fn an_engine_that_finishes_slowly_with_dead_containers_gives_the_same_reasons() {
    let podman = in_background(Podman::that_finishes_slowly).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let exits = engine.backend().env("DEMO_EXIT_IN_BOOT", "7");
    let pools = [pool_on("exits-1", exits.clone()), pool_on("exits-2", exits)];
    for pool in pools {
        let pool = pool.start().await.unwrap();
        let failure = boot_failure(&pool).await;
        assert_eq!(
            (failure.kind, failure.exit_code),
            (BootFailureKind::Died, Some(7)),
            "{failure}"
        );
        drop(pool);
    }
    let pool = pool_on("dies", engine.backend()).start().await.unwrap();
    for _ in 0..2 {
        match pool.call(misbehaving::dies()).await {
            Err(CallError::RunnerLost { reason, .. }) => {
                assert!(reason.contains("137"), "{reason}")
            }
            other => panic!("the runner has to be lost: {other:?}"),
        }
    }
    pool.drain().await;
}

async fn a_full_disk_fails_the_boot_with_the_reason() {
    let podman = in_background(|| Podman::on_small_disk(16)).unwrap();
    let engine = in_background(|| podman.engine()).unwrap();
    let pool = pool_on("full", engine.backend()).start().await.unwrap();
    let filling = std::fs::write(podman.root().join("filler"), vec![1; 32 << 20]);
    assert!(filling.is_err(), "the disk is full");
    let failure = boot_failure(&pool).await;
    assert_eq!(failure.kind, BootFailureKind::Capacity, "{failure}");
    assert!(failure.reason.contains("disk"), "{failure}");
    pool.drain().await;
    std::fs::remove_file(podman.root().join("filler")).unwrap();
    assert_eq!(engine.containers().await, [""; 0]);
}
