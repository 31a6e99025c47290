//! How a suite runs.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{App, PoolBuilder};
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

/// No test may hang: one that takes so long has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// A test by its name.
pub struct Test {
    name: &'static str,
    run: fn() -> BoxFuture<'static, ()>,
}

/// Makes a [`Test`] of an async function.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::test(stringify!($name), || ::std::boxed::Box::pin($name()))),*]
    };
}

/// A test of that name.
#[must_use]
pub fn test(name: &'static str, run: fn() -> BoxFuture<'static, ()>) -> Test {
    Test { name, run }
}

/// The `main` of a suite.
pub fn suite(tests: Vec<Test>) -> std::process::ExitCode {
    if flame_aws::is_runner() {
        if std::env::var_os("DEMO_HANG_IN_BOOT").is_some() {
            loop {
                std::thread::park();
            }
        }
        if let Some(code) = std::env::var("DEMO_EXIT_IN_BOOT").ok().and_then(|c| c.parse().ok()) {
            eprintln!("the database is not there");
            std::process::exit(code);
        }
    }
    let run = async {
        let app = App::new().state(crate::demo::Db("demo".to_owned()));
        app.run(async || Ok::<_, flame_aws::AppError>(())).await
    };
    if let Err(error) = runtime().block_on(run) {
        eprintln!("{error}: {:?}", std::error::Error::source(&error));
        return std::process::ExitCode::FAILURE;
    }
    let trials = tests.into_iter().map(|test| {
        Trial::test(test.name, move || {
            let ended =
                runtime().block_on(async { tokio::time::timeout(LIMIT, (test.run)()).await });
            ended.map_err(|_| format!("took longer than {LIMIT:?}").into())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test")
}

/// A pool of child processes, copies of the suite.
pub fn process_pool(name: &str) -> PoolBuilder {
    flame_aws::Pool::builder(name).backend(Process::new()).max(2).max_concurrency(4)
}

/// Waits until something is so; looks every few milliseconds, for things that tell nobody.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("waited for 30 s: {what}"));
}
