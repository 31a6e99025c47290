//! Tests whose runners are real copies of the test, under an ordinary test harness.

use std::ffi::OsString;

use flame_wire::error::Chain;

use super::App;
use super::copies::TestRuntime;

/// Marks an `async` test whose pools boot real copies, under the ordinary harness of `cargo test`
/// and under `cargo nextest`.
///
/// A copy of a test binary runs the harness's `main`, which does not know about runners. So this
/// attribute runs the test inside [`App::run`], and starts copies with arguments that make the
/// harness run only this test: `path::of::the_test --exact --nocapture --include-ignored
/// --test-threads=1`. The copy reaches the test's `App::run`, and serves calls there.
///
/// ```
/// # fn main() {}
/// #[flame_aws::remote]
/// async fn double(n: u32) -> u32 {
///     n * 2
/// }
///
/// #[flame_aws::test]
/// async fn a_copy_doubles() -> anyhow::Result<()> {
///     let pool = flame_aws::Pool::builder("test").max(1).start().await?;
///     assert_eq!(pool.call(double(21)).await?, 42);
///     pool.drain().await;
///     Ok(())
/// }
/// ```
///
/// | attribute | meaning |
/// |---|---|
/// | `#[flame_aws::test]` | a test in an [`App::new()`](App::new) |
/// | `#[flame_aws::test(app = expression)]` | a test in that [`App`], with its state; the expression is evaluated in the test and in each copy |
/// | `#[flame_aws::test(worker_threads = 2)]` | the worker threads of the runtime, in the test and in each copy; by default one for each core |
/// | `#[flame_aws::test(crate = my::flame_aws)]` | a test in a crate in which flame-aws has another path, as with [`#[remote]`](macro@crate::remote) |
///
/// The function may return a `Result`. `#[ignore]` and `#[should_panic]` can be used beside this
/// attribute. The runtime is tokio's multi-threaded one. The values given to [`App::state`] belong
/// to the process: tests of one binary that run at the same time share them in the parent, and
/// should register equal values.
///
/// Pools that the test starts on another runtime boot no copies. A backend with its own
/// [`args`](crate::backend::Process::args) uses those instead of the arguments above.
pub use flame_macros::test;

/// Runs a test marked with `#[flame_aws::test]`. `name` is its path, including the crate.
///
/// # Panics
/// If the test panics, or if this process was started as a runner and can't be one. That is how a
/// test fails.
#[expect(clippy::expect_used, clippy::panic, reason = "it is how a test fails")]
pub fn run_test<R>(
    name: &str,
    worker_threads: Option<usize>,
    app: impl Future<Output = App>,
    body: impl Future<Output = R>,
) -> R {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = worker_threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build().expect("a runtime for the test");
    let _registered = TestRuntime::register(runtime.handle(), args(name));
    runtime.block_on(async {
        let own_crate = name.split_once("::").map(|(own_crate, _)| own_crate);
        if let Err(error) = app.await.serve_if_runner(own_crate).await {
            panic!("{}", Chain(&error));
        }
        body.await
    })
}

/// The arguments that make a harness run only this test. A harness leaves the crate's name out of
/// the names of tests.
fn args(name: &str) -> Vec<OsString> {
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let options = ["--exact", "--nocapture", "--include-ignored", "--test-threads=1"];
    std::iter::once(name).chain(options).map(OsString::from).collect()
}
