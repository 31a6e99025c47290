//! Tests of the ordinary harness that use pools: with `#[flame_aws::test]` their runners are real
//! copies of the test binary, without it there are none.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper of a test fails the test")]

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use flame_aws::backend::Local;
use flame_aws::{App, CallError, Pool, RemoteError, remote};

/// The bodies of tests that have run in this process.
static RAN: AtomicU32 = AtomicU32::new(0);

/// The variable that says that this is a test within a test.
const PART: &str = "FLAME_TEST_ATTRIBUTE_PART";

#[derive(Clone)]
struct Greeting(&'static str);

#[remote]
async fn greet(#[state] greeting: Greeting) -> (String, u32) {
    (greeting.0.to_owned(), std::process::id())
}

/// What a copy was started with, and the bodies that have run in it.
#[remote]
async fn started() -> (u32, Vec<String>, u32) {
    (std::process::id(), std::env::args().skip(1).collect(), RAN.load(Ordering::Relaxed))
}

/// The processes from here to a copy of a copy, the deepest first.
#[remote]
async fn nested(deep: u8) -> Result<Vec<u32>, RemoteError> {
    let mut pids = Vec::new();
    if deep > 0 {
        let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
        let pool = Pool::builder("nested").min(1).max(1).start().await.map_err(|e| failed(&e))?;
        pids = pool.call(nested(deep - 1)).await.map_err(|e| failed(&e))??;
        pool.drain().await;
    }
    pids.push(std::process::id());
    Ok(pids)
}

fn app() -> App {
    App::new().state(Greeting("hello"))
}

async fn pool() -> Pool {
    RAN.fetch_add(1, Ordering::Relaxed);
    Pool::builder("test").max(1).start().await.unwrap()
}

/// Runs one test of this binary as `cargo nextest` does, in a process of its own.
fn run_alone(test: &str, more: &[&str]) -> Output {
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture"]).args(more).env(PART, "1");
    command.output().unwrap()
}

fn all_of(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[flame_aws::test(app = app())]
async fn a_copy_serves_the_test_that_started_it() {
    let pool = pool().await;
    let (there, args, ran) = pool.call(started()).await.unwrap();
    assert_ne!(there, std::process::id());
    let expected = [
        "a_copy_serves_the_test_that_started_it",
        "--exact",
        "--nocapture",
        "--include-ignored",
        "--test-threads=1",
    ];
    assert_eq!(args, expected);
    assert_eq!(ran, 0, "no test has begun in it");
    pool.drain().await;
}

mod deep {
    pub(super) mod er {
        use flame_aws::App;

        #[flame_aws::test(app = super::super::app())]
        async fn a_test_in_a_module_has_copies() {
            let pool = super::super::pool().await;
            let (_, args, _) = pool.call(super::super::started()).await.unwrap();
            assert_eq!(args[0], "deep::er::a_test_in_a_module_has_copies");
        }

        #[flame_aws::test(app = { let app = super::super::app(); std::future::ready(app).await })]
        async fn r#loop() {
            let _: fn() -> App = App::new;
            let pool = super::super::pool().await;
            let (_, args, _) = pool.call(super::super::started()).await.unwrap();
            assert_eq!(args[0], "deep::er::r#loop");
        }
    }
}

#[flame_aws::test(app = app(), worker_threads = 2)]
async fn a_copy_has_the_state_of_its_app() {
    let pool = pool().await;
    let (here, me) = greet().await;
    let (there, copy) = pool.call(greet()).await.unwrap();
    assert_eq!((here, me), (there, std::process::id()));
    assert_ne!(copy, me);
}

#[flame_aws::test(app = app())]
async fn a_test_may_return_a_result() -> anyhow::Result<()> {
    let pool = Pool::builder("test").max(1).start().await?;
    assert_eq!(pool.call(nested(0)).await??.len(), 1);
    Ok(())
}

#[flame_aws::test(app = app())]
async fn a_pool_of_a_spawned_task_has_copies() {
    let call = async { pool().await.call(started()).await.unwrap().0 };
    assert_ne!(tokio::spawn(call).await.unwrap(), std::process::id());
}

#[flame_aws::test(app = app())]
async fn a_copy_has_copies_of_its_own() {
    let pool = pool().await;
    let mut pids = pool.call(nested(1)).await.unwrap().unwrap();
    pids.push(std::process::id());
    pids.dedup();
    assert_eq!(pids.len(), 3);
    pool.drain().await;
}

#[tokio::test]
async fn a_test_without_the_attribute_boots_no_copy_and_is_told_so() {
    let _app = app();
    let pool = pool().await;
    let mut events = pool.events();
    let refused = pool.call(started()).await;
    let Err(CallError::BootFailed(failure)) = refused else { panic!("{refused:?}") };
    for part in ["`App::run`", "`Local`", "`#[flame_aws::test]`", "harness = false"] {
        assert!(failure.reason.contains(part), "{failure}");
    }
    assert!(pool.explain().to_string().contains("`App::run`"), "{}", pool.explain());
    pool.drain().await;
    drop(pool);
    // No boot has begun, to this pool's end.
    while let Some(event) = events.next().await {
        let event = format!("{:?}", event.unwrap());
        assert!(!event.contains("Grow"), "{event}");
    }
}

#[tokio::test]
async fn a_test_without_the_attribute_may_have_local_runners() {
    let _app = app();
    let pool = Pool::builder("test").backend(Local::new()).start().await.unwrap();
    assert_eq!(pool.call(started()).await.unwrap().0, std::process::id());
}

#[flame_aws::test(app = app())]
#[ignore = "run by `a_test_that_is_ignored_has_copies_when_it_is_run`"]
async fn ignored() {
    let (there, ..) = pool().await.call(started()).await.unwrap();
    assert_ne!(there, std::process::id());
}

#[test]
fn a_test_that_is_ignored_has_copies_when_it_is_run() {
    let output = run_alone("ignored", &["--ignored"]);
    assert!(output.status.success(), "{}", all_of(&output));
    assert!(all_of(&output).contains("1 passed"), "{}", all_of(&output));
}

#[flame_aws::test(app = app())]
async fn as_one_that_fails() {
    if std::env::var_os(PART).is_some() {
        let (there, ..) = pool().await.call(started()).await.unwrap();
        assert_eq!(there, 0, "no process has that id");
    }
}

#[flame_aws::test(app = app())]
async fn as_one_that_returns_an_error() -> anyhow::Result<()> {
    anyhow::ensure!(std::env::var_os(PART).is_none(), "that is what it says");
    Ok(())
}

#[flame_aws::test(app = app())]
#[should_panic(expected = "as it should")]
async fn a_test_that_should_panic_does() {
    let (there, ..) = pool().await.call(started()).await.unwrap();
    assert_eq!(there, std::process::id(), "as it should");
}

#[test]
fn a_test_that_fails_fails_and_shows_why() {
    for (test, shown) in [
        ("as_one_that_fails", "no process has that id"),
        ("as_one_that_returns_an_error", "that is what it says"),
    ] {
        let output = run_alone(test, &[]);
        assert!(!output.status.success(), "{}", all_of(&output));
        assert!(all_of(&output).contains(shown), "{}", all_of(&output));
        assert!(all_of(&output).contains("1 failed"), "{}", all_of(&output));
    }
}
