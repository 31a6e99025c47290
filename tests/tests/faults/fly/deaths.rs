//! Machines that die, and what their callers learn; and machines that can't be stopped.

use flame_aws::CallError;
use flame_tests::fly::{Action, App, Fault};
use flame_tests::{Test, demo, process, tests};

use super::{app, machine_of, pool_on};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_process_is_a_lost_runner,
        a_machine_out_of_memory_is_said_to_be,
        a_machine_that_was_destroyed_by_hand_is_a_lost_runner,
        a_machine_that_was_stopped_by_hand_is_destroyed,
        deaths_are_noticed_while_the_api_fails,
        a_stop_is_repeated_while_the_api_fails_or_somebody_holds_the_lease,
        a_dropped_pool_leaves_no_machine,
    ]
}

/// Makes a call that never returns, does something to its machine, and returns how the call fails.
/// Then the pool must still work, and leave nothing.
async fn lost(app: &App, harm: impl AsyncFnOnce(&str)) -> String {
    let pool = pool_on(app.backend()).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let machine = machine_of(&pool);
    let call = tokio::spawn(pool.call(demo::forever().timeout(None)).into_future());
    flame_tests::until("the call runs", || pool.snapshot().leased == 1).await;
    harm(&machine).await;
    let reason = match call.await.unwrap() {
        Err(CallError::RunnerLost { started: true, reason, .. }) => reason,
        other => panic!("the runner has to be lost: {other:?}"),
    };
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "another runner serves");
    assert_ne!(machine_of(&pool), machine);
    pool.drain().await;
    app.until_no_machines().await;
    reason
}

async fn a_killed_process_is_a_lost_runner() {
    let app = app("killed");
    let reason = lost(&app, async |machine| process::kill(app.pid(machine).unwrap())).await;
    assert!(reason.contains("137") && reason.contains("SIGKILL"), "{reason}");
}

async fn a_machine_out_of_memory_is_said_to_be() {
    let app = app("greedy");
    let harm = async |machine: &str| {
        app.will_be_out_of_memory(machine);
        process::kill(app.pid(machine).unwrap());
    };
    let reason = lost(&app, harm).await;
    assert!(reason.contains("was out of memory") && reason.contains("`memory`"), "{reason}");
}

async fn a_machine_that_was_destroyed_by_hand_is_a_lost_runner() {
    let app = app("destroyed-by-hand");
    let reason = lost(&app, async |machine| app.destroy_by_hand(machine)).await;
    assert!(reason.contains("somebody had it stopped"), "{reason}");
}

async fn a_machine_that_was_stopped_by_hand_is_destroyed() {
    let app = app("stopped-by-hand");
    let pool = pool_on(app.backend()).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let machine = machine_of(&pool);
    app.stop_by_hand(&machine);
    flame_tests::until("it is gone", || !app.machines().contains(&machine)).await;
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "another runner serves");
    pool.drain().await;
    app.until_no_machines().await;
}

async fn deaths_are_noticed_while_the_api_fails() {
    for (name, action, fault) in [
        ("failing-wait", Action::Wait, Fault::Answer(500, "x")),
        ("unsupported-wait", Action::Wait, Fault::Answer(400, "x")),
        ("broken-wait", Action::Wait, Fault::CutBefore),
        ("failing-get", Action::Get, Fault::Answer(500, "x")),
        ("broken-get", Action::Get, Fault::CutAfter),
    ] {
        let app = app(name);
        app.fail(action, 3, fault);
        let reason = lost(&app, async |machine| process::kill(app.pid(machine).unwrap())).await;
        assert!(reason.contains("137"), "{name}: {reason}");
    }
}

async fn a_stop_is_repeated_while_the_api_fails_or_somebody_holds_the_lease() {
    let leased = Fault::Answer(409, "machine ID 148ed1 lease currently held by a@example.com");
    for (name, fault, requests) in [
        ("stop-fails", Fault::Answer(500, "x"), 2),
        ("stop-cut", Fault::CutBefore, 2),
        ("stop-throttled", Fault::Throttled(1), 2),
        ("stop-leased", leased, 2),
        // The machine is gone, as the next look shows.
        ("stop-carried-out", Fault::CutAfter, 1),
    ] {
        let app = app(name);
        let pool = pool_on(app.backend().env("DEMO_HANG_IN_BOOT", "1"));
        let pool = pool.boot_timeout(std::time::Duration::from_millis(500)).start().await.unwrap();
        app.fail(Action::Destroy, 1, fault);
        let failure = super::boot_failure(&pool).await;
        assert_eq!(failure.kind, flame_aws::BootFailureKind::TimedOut, "{failure}");
        pool.drain().await;
        assert!(app.requests(Action::Destroy) >= requests, "{name}");
        app.until_no_machines().await;
    }
}

async fn a_dropped_pool_leaves_no_machine() {
    let app = app("dropped");
    let pool = pool_on(app.backend().env("DEMO_HANG_IN_BOOT", "1")).min(1).start().await.unwrap();
    flame_tests::until("it boots", || app.created() == 1).await;
    drop(pool);
    app.until_no_machines().await;
}
