//! Boots, while the API fails.

use flame_aws::BootFailureKind;
use flame_aws::Size;
use flame_tests::fly::{Action, Fault};
use flame_tests::{Test, demo, tests};

use super::{app, boot_failure, machine_of, pool_on};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_creation_whose_answer_is_lost_makes_one_machine,
        a_creation_that_the_api_throttles_is_repeated,
        a_new_machine_that_the_api_does_not_know_yet_is_not_dead,
        a_creation_that_fails_for_good_says_why_and_leaves_nothing,
        a_machine_of_a_boot_that_was_given_up_is_destroyed,
        a_runner_that_exits_in_its_boot_is_said_to_have_died,
        a_pool_stays_below_the_limit_for_new_machines,
        a_machine_has_the_size_of_its_pool,
    ]
}

async fn a_creation_whose_answer_is_lost_makes_one_machine() {
    for (name, fault) in [
        ("cut-before", Fault::CutBefore),
        ("cut-after", Fault::CutAfter),
        ("failed-afterwards", Fault::FailedAfterwards),
        ("unavailable", Fault::Answer(503, "upstream unavailable")),
    ] {
        let app = app(name);
        app.fail(Action::Create, 1, fault);
        let pool = pool_on(app.backend()).start().await.unwrap();
        assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4, "{name}");
        assert_eq!((app.created(), app.requests(Action::Create)), (1, 2), "{name}");
        assert_eq!(app.machines(), [machine_of(&pool)], "{name}");
        pool.drain().await;
        app.until_no_machines().await;
    }
}

async fn a_creation_that_the_api_throttles_is_repeated() {
    let app = app("throttled");
    app.fail(Action::Create, 2, Fault::Throttled(1));
    let pool = pool_on(app.backend()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    assert_eq!((app.created(), app.requests(Action::Create)), (1, 3));
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_new_machine_that_the_api_does_not_know_yet_is_not_dead() {
    let app = app("lagging");
    // The answer to the creation is lost, so the machine must be asked for.
    app.fail(Action::Create, 1, Fault::CutAfter);
    app.fail(Action::Get, 2, Fault::Lags);
    let pool = pool_on(app.backend()).start().await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    flame_tests::until("it is known", || app.requests(Action::Get) > 2).await;
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    assert_eq!(app.created(), 1);
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_creation_that_fails_for_good_says_why_and_leaves_nothing() {
    use BootFailureKind::{Capacity, Misconfigured, Quota};
    let full = "insufficient resources to create new machine";
    for (code, text, kind, advice) in [
        (412, full, Capacity, ".region("),
        (403, "memory is over the allowed quota", Quota, "`max`"),
        (401, "unauthorized", Misconfigured, "FLY_API_TOKEN"),
        (422, "something new", Misconfigured, "correct what the message names"),
    ] {
        let app = app(&format!("fails-{code}"));
        app.fail(Action::Create, 1, Fault::Answer(code, text));
        let pool = pool_on(app.backend()).start().await.unwrap();
        let failure = boot_failure(&pool).await;
        assert_eq!(failure.kind, kind, "{failure}");
        for part in [text, advice, &format!("HTTP {code}"), "request 01HREQUEST-cdg"] {
            assert!(failure.reason.contains(part), "{failure}");
        }
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
        assert_eq!((app.created(), app.requests(Action::Create)), (0, 1), "it is not repeated");
        pool.drain().await;
    }
    let app = app("no-image");
    let pool = pool_on(app.backend().image("nowhere:1")).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!(failure.kind, Misconfigured);
    assert!(failure.reason.contains(".image("), "{failure}");
    pool.drain().await;
}

async fn a_machine_of_a_boot_that_was_given_up_is_destroyed() {
    let app = app("given-up");
    app.fail(Action::Create, 1, Fault::CutAfter);
    app.fail(Action::Create, 1, Fault::Answer(401, "the token has expired"));
    // Nor is it found at once.
    app.fail(Action::List, 1, Fault::Lags);
    let pool = pool_on(app.backend().env("DEMO_HANG_IN_BOOT", "1")).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert!(failure.reason.contains("has expired"), "{failure}");
    assert_eq!(app.created(), 1);
    app.until_no_machines().await;
    pool.drain().await;
}

async fn a_runner_that_exits_in_its_boot_is_said_to_have_died() {
    let app = app("exits");
    let pool = pool_on(app.backend().env("DEMO_EXIT_IN_BOOT", "7")).start().await.unwrap();
    let failure = boot_failure(&pool).await;
    assert_eq!((failure.kind, failure.exit_code), (BootFailureKind::Died, Some(7)), "{failure}");
    assert!(failure.reason.contains("fly logs --machine"), "{failure}");
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_pool_stays_below_the_limit_for_new_machines() {
    let app = app("limited");
    app.limit_creations();
    let pool = pool_on(app.backend()).max(5).max_concurrency(1).start().await.unwrap();
    let calls =
        (0..5).map(|_| tokio::spawn(pool.call(demo::forever().timeout(None)).into_future()));
    let calls: Vec<_> = calls.collect();
    flame_tests::until("each call has a runner", || pool.snapshot().leased == 5).await;
    assert_eq!(app.created(), 5);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    pool.drain().await;
    app.until_no_machines().await;
}

async fn a_machine_has_the_size_of_its_pool() {
    let app = app("sized");
    let pool = pool_on(app.backend().region("ams"));
    let pool = pool.size(Size::new().vcpus(2.0).memory_mib(1024)).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let machine = machine_of(&pool);
    let guest = &app.config(&machine)["guest"];
    assert_eq!((&guest["cpus"], &guest["memory_mb"]), (&2.into(), &1024.into()));
    assert_eq!(app.region(&machine), "ams");
    pool.drain().await;
    app.until_no_machines().await;
}
