//! Tests under a harness whose runners are copies of the test.

use std::error::Error;
use std::ffi::OsString;

use super::App;
use super::copies::InTest;

/// Marks an `async` test whose pools boot real copies, under the ordinary harness of `cargo test` and
/// under `cargo nextest`.
///
/// The copy of a test binary runs the harness's `main`, which knows nothing of runners. So this runs
/// the test inside [`App::run`], and gives copies the arguments that make the harness run this very
/// test and no other: `path::of::the_test --exact --nocapture --include-ignored --test-threads=1`. The
/// copy gets to the test's `App::run`, and serves there.
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
/// | written | it is |
/// |---|---|
/// | `#[flame_aws::test]` | a test in an [`App::new()`](App::new) |
/// | `#[flame_aws::test(app = expression)]` | a test in that [`App`], with its state; evaluated in the test and in each copy |
/// | `#[flame_aws::test(worker_threads = 2)]` | the threads of the runtime, here and in copies; default: one for each core |
/// | `#[flame_aws::test(crate = my::flame_aws)]` | a test in a crate that has flame-aws by another path, as with [`#[remote]`](macro@crate::remote) |
///
/// The function may return a `Result`; `#[ignore]` and `#[should_panic]` go beside the attribute. The
/// runtime is tokio's with several threads. What [`App::state`] is given belongs to the process: tests
/// of one binary that run side by side share it in the parent, and should give equal values.
///
/// The pools of a test that are started on another runtime, or on one that a thread of the test makes,
/// boot no copies; and a backend with [`args`](crate::backend::Process::args) of its own has those.
pub use flame_macros::test;

/// What `#[flame_aws::test]` makes of a test. `name` is its path, that of the crate included.
///
/// # Panics
/// Where the test does, and where this process was started as a runner and can't be one: so a test
/// fails.
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
    let _in_test = InTest::enter(runtime.handle(), args(name));
    runtime.block_on(async {
        let own_crate = name.split_once("::").map(|(own_crate, _)| own_crate);
        if let Err(error) = app.await.serve_if_runner(own_crate).await {
            match error.source() {
                Some(source) => panic!("{error}: {source}"),
                None => panic!("{error}"),
            }
        }
        body.await
    })
}

/// Those by which a harness runs this test alone. It leaves the crate's name out of its names.
fn args(name: &str) -> Vec<OsString> {
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let options = ["--exact", "--nocapture", "--include-ignored", "--test-threads=1"];
    std::iter::once(name).chain(options).map(OsString::from).collect()
}
