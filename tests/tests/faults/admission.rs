//! Runners whose FLAME_PARENT is invalid, used, expired or of another build.

use std::process::Output;
use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, PoolEvent};
use flame_runner_shim::build_id::build_id;
use flame_runner_shim::exit_code::EXIT_NEVER_CONNECTED;
use flame_runner_shim::exit_code::EXIT_REJECTED;
use flame_tests::process::drains_cleanly;
use flame_tests::{TempDir, Test, Watcher, demo, impostor, process_pool, program, tests, until};
use flame_wire::parent::{Fingerprint, FlameParent};
use flame_wire::token::Token;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_with_a_bad_flame_parent_fails_and_never_acts_as_a_parent,
        a_wrong_token_is_rejected_and_the_pool_goes_on,
        a_used_token_is_rejected_and_the_pool_goes_on,
        another_build_is_rejected_with_both_build_ids,
        a_runner_rejects_a_parent_with_another_key,
        a_runner_whose_parent_is_gone_exits,
        a_runner_whose_standard_error_is_full_exits,
    ]
}

/// Tests of what the parent's listener answers. A relay no longer knows a runner whose token has
/// expired, so such a runner does not reach its parent.
pub(crate) fn at_the_listener() -> Vec<Test> {
    tests![an_expired_token_is_rejected]
}

/// Starts a runner with this FLAME_PARENT, and waits until it exits.
async fn started_with(flame_parent: &str) -> Output {
    program::copy().env(FlameParent::ENV, flame_parent).output().await.unwrap()
}

fn error(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        !printed.contains("test result"),
        "the runner acted as a parent and ran the tests: {printed}"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn a_runner_with_a_bad_flame_parent_fails_and_never_acts_as_a_parent() {
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let good = std::fs::read_to_string(&folder.files()[0]).unwrap();
    let mut altered = good.clone().into_bytes();
    altered[good.len() / 2] ^= 1;
    let altered = String::from_utf8(altered).unwrap();
    let quoted = format!("\"{good}\"");
    let newer = good.replacen("flame1.", "flame9.", 1);
    let long = good.repeat(100);
    let bad = ["", "garbage", &newer, &good[..good.len() / 2], &altered, &quoted, &long];
    for text in bad {
        let output = started_with(text).await;
        assert_eq!(output.status.code(), Some(1), "{text}");
        let error = error(&output);
        assert!(error.contains("FLAME_PARENT"), "{text}: {error}");
        assert!(!error.contains(&good[20..40]), "the error shows the secret document: {error}");
    }
    drains_cleanly(&pool, &[]).await;
}

async fn a_wrong_token_is_rejected_and_the_pool_goes_on() {
    let (folder, hold) = (TempDir::new(), TempDir::new());
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let backend = backend.env("DEMO_HANG_WHILE_EXISTS", hold.path());
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("the child has started", || !folder.files().is_empty()).await;
    let good = impostor::flame_parent(&folder.files()[0]);
    let bad = FlameParent { token: Token::from_bytes([7; 32]), ..good };
    let output = started_with(&bad.encode().unwrap()).await;
    assert_eq!(output.status.code(), Some(EXIT_REJECTED));
    let error = error(&output);
    assert!(error.contains("the token does not belong to this runner"), "{error}");
    // The rejected runner has used up nothing: the runner with the right token serves the queued
    // call.
    drop(hold);
    assert_eq!(call.await.unwrap().unwrap(), 42);
    drains_cleanly(&pool, &[]).await;
}

async fn a_used_token_is_rejected_and_the_pool_goes_on() {
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let used = std::fs::read_to_string(&folder.files()[0]).unwrap();
    let output = started_with(&used).await;
    assert_eq!(output.status.code(), Some(EXIT_REJECTED));
    let error = error(&output);
    assert!(error.contains("the token has been used"), "{error}");
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}

async fn an_expired_token_is_rejected() {
    let folder = TempDir::new();
    let backend =
        Process::new().env("DEMO_WRITE_PARENT_TO", folder.path()).env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").max(1).backend(backend).boot_timeout(Duration::from_secs(2));
    let pool = pool.start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let call = tokio::spawn(pool.call(demo::double(1)));
    watcher.next(|event| matches!(event, PoolEvent::GrowEnd { up: false, .. }).then_some(())).await;
    let late = std::fs::read_to_string(&folder.files()[0]).unwrap();
    let output = started_with(&late).await;
    assert_eq!(output.status.code(), Some(EXIT_REJECTED));
    let error = error(&output);
    // The pool soon forgets the runner, and then rejects it with the other message.
    assert!(error.contains("has expired") || error.contains("gave it up"), "{error}");
    let failed = call.await.unwrap();
    assert!(matches!(failed, Err(CallError::BootFailed(_))), "{failed:?}");
    drains_cleanly(&pool, &[]).await;
}

async fn another_build_is_rejected_with_both_build_ids() {
    let backend = Process::new().env("FLAME_BUILD_ID", "of-yesterday");
    let pool = process_pool("test").backend(backend).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    let ours = build_id().unwrap().to_string();
    assert!(failure.reason.contains("of-yesterday"), "{failure}");
    assert!(failure.reason.contains(&ours), "{failure} does not name {ours}");
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_rejects_a_parent_with_another_key() {
    let folder = TempDir::new();
    let backend =
        Process::new().env("DEMO_WRITE_PARENT_TO", folder.path()).env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").min(1).backend(backend).start().await.unwrap();
    until("the child has started", || !folder.files().is_empty()).await;
    let mut parent = impostor::flame_parent(&folder.files()[0]);
    parent.fingerprint = Fingerprint([7; 32]);
    parent.limits.failsafe_ms = 500;
    let output = started_with(&parent.encode().unwrap()).await;
    assert_eq!(output.status.code(), Some(EXIT_NEVER_CONNECTED), "{}", error(&output));
    drains_cleanly(&pool, &[]).await;
}

/// Returns the FLAME_PARENT of a pool that has shut down.
async fn flame_parent_of_a_drained_pool() -> String {
    let folder = TempDir::new();
    let backend =
        Process::new().env("DEMO_WRITE_PARENT_TO", folder.path()).env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").min(1).backend(backend);
    let pool = pool.boot_timeout(Duration::from_secs(1)).start().await.unwrap();
    until("the child has started", || !folder.files().is_empty()).await;
    let flame_parent = std::fs::read_to_string(&folder.files()[0]).unwrap();
    drains_cleanly(&pool, &[]).await;
    flame_parent
}

async fn a_runner_whose_parent_is_gone_exits() {
    let output = started_with(&flame_parent_of_a_drained_pool().await).await;
    assert_eq!(output.status.code(), Some(EXIT_NEVER_CONNECTED), "{}", error(&output));
    assert!(error(&output).contains("never connected to its parent"), "{}", error(&output));
}

async fn a_runner_whose_standard_error_is_full_exits() {
    let (full, unread) = tokio::net::unix::pipe::pipe().unwrap();
    loop {
        full.writable().await.unwrap();
        if let Err(error) = full.try_write(&[b'x'; 4096]) {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            break;
        }
    }
    let mut runner = program::copy();
    runner.env(FlameParent::ENV, flame_parent_of_a_drained_pool().await);
    let status = runner.stderr(full.into_blocking_fd().unwrap()).status().await.unwrap();
    assert_eq!(status.code(), Some(EXIT_NEVER_CONNECTED));
    drop(unread);
}
