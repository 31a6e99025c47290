//! Tests under Rust's standard test harness that use pools. With `#[flame_aws::test]` their runners
//! are real copies of the test binary; without it no runner is booted.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test that uses it")]

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use flame_aws::backend::Local;
use flame_aws::{App, CallError, Pool, RemoteError, remote};

/// How many test bodies have started in this process.
static BODIES_STARTED: AtomicU32 = AtomicU32::new(0);

/// The environment variable of a test that another test runs in a process of its own.
const INNER_TEST: &str = "FLAME_INNER_TEST";

#[derive(Clone)]
struct Greeting(&'static str);

#[remote]
async fn greet(#[state] greeting: Greeting) -> (String, u32) {
    (greeting.0.to_owned(), std::process::id())
}

/// The process id of a copy, its arguments, and how many test bodies have started in it.
#[remote]
async fn started() -> (u32, Vec<String>, u32) {
    (std::process::id(), std::env::args().skip(1).collect(), BODIES_STARTED.load(Ordering::Relaxed))
}

/// The process ids of this copy and of the copies nested in it, the deepest first.
#[remote]
async fn nested(depth: u8) -> Result<Vec<u32>, RemoteError> {
    let mut pids = Vec::new();
    if depth > 0 {
        let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
        let pool = Pool::builder("nested").min(1).max(1).start().await.map_err(|e| failed(&e))?;
        pids = pool.call(nested(depth - 1)).await.map_err(|e| failed(&e))??;
        pool.drain().await;
    }
    pids.push(std::process::id());
    Ok(pids)
}

fn app() -> App {
    App::new().state(Greeting("hello"))
}

async fn pool() -> Pool {
    BODIES_STARTED.fetch_add(1, Ordering::Relaxed);
    Pool::builder("test").max(1).start().await.unwrap()
}

/// Runs one test of this binary in a process of its own, as `cargo nextest` does.
fn run_alone(test: &str, options: &[&str]) -> Output {
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture"]).args(options).env(INNER_TEST, "1");
    command.output().unwrap()
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[flame_aws::test(app = app())]
async fn a_copy_serves_the_test_that_started_it() {
    let pool = pool().await;
    let (there, args, bodies_started) = pool.call(started()).await.unwrap();
    assert_ne!(there, std::process::id());
    let expected = [
        "a_copy_serves_the_test_that_started_it",
        "--exact",
        "--nocapture",
        "--include-ignored",
        "--test-threads=1",
    ];
    assert_eq!(args, expected);
    assert_eq!(bodies_started, 0, "the copy runs no test");
    pool.drain().await;
}

mod outer {
    pub(super) mod inner {
        use flame_aws::App;

        #[flame_aws::test(app = super::super::app())]
        async fn a_test_in_a_module_has_copies() {
            let pool = super::super::pool().await;
            let (_, args, _) = pool.call(super::super::started()).await.unwrap();
            assert_eq!(args[0], "outer::inner::a_test_in_a_module_has_copies");
        }

        #[flame_aws::test(app = { let app = super::super::app(); std::future::ready(app).await })]
        async fn r#loop() {
            let _: fn() -> App = App::new;
            let pool = super::super::pool().await;
            let (_, args, _) = pool.call(super::super::started()).await.unwrap();
            assert_eq!(args[0], "outer::inner::r#loop");
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
async fn a_test_without_the_attribute_boots_no_copy_and_its_calls_say_why() {
    let _app = app();
    let pool = pool().await;
    let mut events = pool.events();
    let rejected = pool.call(started()).await;
    let Err(CallError::BootFailed(failure)) = rejected else { panic!("{rejected:?}") };
    for part in ["`App::run`", "`Local`", "`#[flame_aws::test]`", "harness = false"] {
        assert!(failure.reason.contains(part), "{failure}");
    }
    assert!(pool.explain().to_string().contains("`App::run`"), "{}", pool.explain());
    pool.drain().await;
    drop(pool);
    // No boot has begun by the time the pool is gone.
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
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("1 passed"), "{}", text_of(&output));
}

#[flame_aws::test(app = app())]
async fn inner_test_that_fails() {
    if std::env::var_os(INNER_TEST).is_some() {
        let (there, ..) = pool().await.call(started()).await.unwrap();
        assert_eq!(there, 0, "no process has the id 0");
    }
}

#[flame_aws::test(app = app())]
async fn inner_test_that_returns_an_error() -> anyhow::Result<()> {
    anyhow::ensure!(std::env::var_os(INNER_TEST).is_none(), "the error that the test returned");
    Ok(())
}

#[flame_aws::test(app = app())]
#[should_panic(expected = "the copy is another process")]
async fn should_panic_sees_the_panic_of_the_test() {
    let (there, ..) = pool().await.call(started()).await.unwrap();
    assert_eq!(there, std::process::id(), "the copy is another process");
}

#[test]
fn a_test_that_fails_shows_why() {
    for (test, shown) in [
        ("inner_test_that_fails", "no process has the id 0"),
        ("inner_test_that_returns_an_error", "the error that the test returned"),
    ] {
        let output = run_alone(test, &[]);
        assert!(!output.status.success(), "{}", text_of(&output));
        assert!(text_of(&output).contains(shown), "{}", text_of(&output));
        assert!(text_of(&output).contains("1 failed"), "{}", text_of(&output));
    }
}
