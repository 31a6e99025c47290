//! How a suite runs: its tests, and the process that they run in.

mod conformance;
mod copy;
mod pools;
mod proxied;

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Completion, Trial};

use crate::{docker, emulator, fly, images};

pub use conformance::{conformance, conformance_checks, conformance_in_both_modes};
pub use copy::run_copy;
pub use pools::{PoolBackend, pool, process_pool};
pub(crate) use pools::{connection_variables, is_relayed, through_shared_relay};
pub use proxied::{PoolProxy, pool_behind_proxy};

use pools::{Connection, PoolMode};

/// A test that takes longer than this has failed, so that no test can hang.
const LIMIT: Duration = Duration::from_secs(120);

/// A test, by its name.
#[derive(Clone)]
pub struct Test {
    name: &'static str,
    run: fn() -> BoxFuture<'static, ()>,
    mode: PoolMode,
    requirement: Option<Requirement>,
}

/// Returns why a test can't run on this machine, or `None` if it can.
pub type Requirement = fn() -> Result<Option<String>, String>;

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes a [`Test`] of each async function.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::test(stringify!($name), || ::std::boxed::Box::pin($name()))),*]
    };
}

/// Returns a test of that name. [`tests!`](crate::tests) is shorter.
#[must_use]
pub fn test(name: &'static str, run: fn() -> BoxFuture<'static, ()>) -> Test {
    Test { name, run, mode: PoolMode::DEFAULT, requirement: None }
}

/// Returns the same tests with another backend for their [`pool`]s.
#[must_use]
pub fn on(backend: PoolBackend, tests: &[Test]) -> Vec<Test> {
    in_modes(tests, |mode| PoolMode { backend, ..mode })
}

/// Returns the tests twice: with runners that connect directly, and through a relay.
#[must_use]
pub fn direct_and_relayed(tests: &[Test]) -> Vec<Test> {
    [Connection::Direct, Connection::Relay]
        .map(|connection| in_modes(tests, |mode| PoolMode { connection, ..mode }))
        .concat()
}

fn in_modes(tests: &[Test], change: impl Fn(PoolMode) -> PoolMode) -> Vec<Test> {
    tests.iter().map(|test| Test { mode: change(test.mode), ..test.clone() }).collect()
}

/// Marks tests that use the emulator's own pages, for which AWS has no calls: faults, counts of
/// calls, running processes. Where AWS is something else they are shown as ignored.
#[must_use]
pub fn emulated(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || {
        let is_emulator = emulator::is_used()?;
        Ok((!is_emulator).then(|| "it needs the emulator's pages".to_owned()))
    })
}

/// Marks tests that need something of the machine. Where it is missing they are shown as ignored,
/// with the reason.
#[must_use]
pub fn requiring(tests: Vec<Test>, requirement: Requirement) -> Vec<Test> {
    tests.into_iter().map(|test| Test { requirement: Some(requirement), ..test }).collect()
}

/// Marks tests that change the user of a process. Without root they are shown as ignored.
#[must_use]
pub fn as_root(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || {
        let is_root = rustix::process::geteuid().is_root();
        Ok((!is_root).then(|| "only root can change the user of a process".to_owned()))
    })
}

/// The `main` of a suite. With `DEMO_TRACE` set to a filter, such as `debug`, the suite and its
/// copies log what they do.
pub fn suite(tests: Vec<Test>) -> ExitCode {
    suite_with(tests, Vec::new)
}

/// The `main` of a suite that has trials of another kind as well. `more` is not called in copies.
pub fn suite_with(tests: Vec<Test>, more: impl FnOnce() -> Vec<Trial>) -> ExitCode {
    if let Some(exit) = run_copy() {
        return exit;
    }
    let trials = tests.into_iter().map(Test::trial).chain(more()).collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    images::end();
    for ended in [emulator::end(), docker::end(), fly::end()] {
        if let Err(leftover) = ended {
            eprintln!("{leftover}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

impl Test {
    fn trial(self) -> Trial {
        let trial = Trial::ignorable_test(self.name, move || {
            if let Some(reason) = self.requirement.map_or(Ok(None), |missing| missing())? {
                return Ok(Completion::ignored_with(reason));
            }
            let run = pools::in_mode(self.mode, (self.run)());
            in_time(async {
                run.await;
                Ok(())
            })?;
            Ok(Completion::Completed)
        });
        self.mode.mark(trial)
    }
}

fn in_time(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let finished = runtime().block_on(async { tokio::time::timeout(LIMIT, run).await });
    finished.unwrap_or_else(|_| Err(format!("took longer than {LIMIT:?}")))
}

/// Returns a runtime with two workers, like that of each test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test")
}

/// Waits until `is_so` returns true. Polls every few milliseconds, for conditions that send no
/// event; fails the test after 30 s.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("waited for 30 s until {what}"));
}
