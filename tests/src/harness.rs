//! How a suite runs.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use flame_aws::backend::{Local, Process};
use flame_aws::{App, PoolBuilder};
use flame_runner_shim::boot_variables::boot_variables;
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Completion, Trial};

use crate::{early, emulator, mischief, program, terminal};

/// No test may hang: one that takes so long has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// Where the runners of [`pool`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Child copies of the suite.
    Process,
    /// Tasks of the suite itself.
    Local,
}

tokio::task_local! {
    static BACKEND: Backend;
}

/// A test by its name.
#[derive(Clone)]
pub struct Test {
    name: &'static str,
    run: fn() -> BoxFuture<'static, ()>,
    backend: Backend,
    needs: Option<Needs>,
}

/// Says why a test can't be run here; `None` where it can.
pub type Needs = fn() -> Result<Option<String>, String>;

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
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
    Test { name, run, backend: Backend::Process, needs: None }
}

/// The same tests, where their [`pool`]s have another backend.
#[must_use]
pub fn on(backend: Backend, tests: &[Test]) -> Vec<Test> {
    tests.iter().map(|test| Test { backend, ..test.clone() }).collect()
}

/// The same tests, which ask the emulator for what AWS has no calls for: its faults, its counts of
/// calls, the processes that run. Where AWS is something else they are shown as ignored.
#[must_use]
pub fn emulated(tests: Vec<Test>) -> Vec<Test> {
    needing(tests, || {
        let used = emulator::is_used()?;
        Ok((!used).then(|| "it needs the emulator's pages".to_owned()))
    })
}

/// The same tests, which are shown as ignored, with the reason, where what they need is not there.
#[must_use]
pub fn needing(tests: Vec<Test>, needs: Needs) -> Vec<Test> {
    tests.into_iter().map(|test| Test { needs: Some(needs), ..test }).collect()
}

/// The same tests, which change the user of a process. Where the suite is not run by root they are
/// shown as ignored.
#[must_use]
pub fn as_root(tests: Vec<Test>) -> Vec<Test> {
    needing(tests, || {
        let is_root = rustix::process::geteuid().is_root();
        Ok((!is_root).then(|| "only root can change the user of a process".to_owned()))
    })
}

/// The `main` of a suite.
///
/// A runner with `DEMO_TELL` writes its FLAME_PARENT into that folder. With `DEMO_HANG_IN_BOOT` it
/// never gets to its app, with `DEMO_HANG_WHILE` not before that file is gone. With
/// `DEMO_EXIT_IN_BOOT` it ends before, with that code; with `DEMO_EXIT_WHILE` if that file is
/// there. With `DEMO_ASK` its app has a say in when it ends.
///
/// With `DEMO_DRAIN_ON_SIGNALS` its app leaves its signals to the library.
///
/// With `DEMO_DROP_PRIVILEGES` a runner is another user's from its `main` on. A program with
/// `DEMO_TERMINAL` has that terminal.
///
/// With `DEMO_TRACE` (a filter, such as `debug`) the suite, and each copy, logs what it does.
pub fn suite(tests: Vec<Test>) -> ExitCode {
    suite_with(tests, Vec::new)
}

/// The same, with trials of another kind; they are made where the tests are run, and not in copies.
pub fn suite_with(tests: Vec<Test>, more: impl FnOnce() -> Vec<Trial>) -> ExitCode {
    if let Some(ended) = unless_tests_run_here() {
        return ended;
    }
    let trials = tests.into_iter().map(Test::trial).chain(more()).collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    if let Err(left) = emulator::end() {
        eprintln!("{left}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// The first part of a suite's `main`. A copy serves here, and a [`program`] runs here: then this is
/// the exit code. `None` where the tests are to be run.
pub fn unless_tests_run_here() -> Option<ExitCode> {
    if flame_aws::is_runner() {
        misbehave_in_boot();
    }
    let _terminal = if flame_aws::is_runner() { None } else { terminal::take() };
    if let Ok(filter) = std::env::var("DEMO_TRACE") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    if let Ok(name) = std::env::var(early::ENV) {
        return match runtime().block_on(early::run(&name)) {
            Ok(()) => Some(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("{error}");
                Some(ExitCode::FAILURE)
            }
        };
    }
    let program = std::env::var(program::ENV).ok();
    let run = async {
        let mut app = App::new().state(crate::demo::Db("demo".to_owned()));
        if std::env::var_os("DEMO_ASK").is_some() {
            app = app.idle_when(mischief::idle_predicate);
        }
        if std::env::var_os("DEMO_DRAIN_ON_SIGNALS").is_some() {
            app = app.drain_on_signals();
        }
        app.run(async || {
            if let Some(program) = &program {
                program::run(program).await;
            }
            Ok::<_, flame_aws::AppError>(())
        })
        .await
    };
    if let Err(error) = runtime().block_on(run) {
        let source = std::error::Error::source(&error);
        eprintln!("{error}: {}", source.map(ToString::to_string).unwrap_or_default());
        return Some(ExitCode::FAILURE);
    }
    program.is_some().then_some(ExitCode::SUCCESS)
}

impl Test {
    fn trial(self) -> Trial {
        let trial = Trial::ignorable_test(self.name, move || {
            if let Some(reason) = self.needs.map_or(Ok(None), |needs| needs())? {
                return Ok(Completion::ignored_with(reason));
            }
            let run = BACKEND.scope(self.backend, (self.run)());
            in_time(async {
                run.await;
                Ok(())
            })?;
            Ok(Completion::Completed)
        });
        match self.backend {
            Backend::Process => trial,
            Backend::Local => trial.with_kind("local"),
        }
    }
}

/// A trial in a runtime of its own.
pub fn trial(
    name: String,
    run: impl FnOnce() -> BoxFuture<'static, Result<(), String>> + Send + 'static,
) -> Trial {
    Trial::test(name, move || Ok(in_time(run())?))
}

fn in_time(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let ended = runtime().block_on(async { tokio::time::timeout(LIMIT, run).await });
    ended.unwrap_or_else(|_| Err(format!("took longer than {LIMIT:?}")))
}

fn misbehave_in_boot() {
    let variable = |name| std::env::var_os(name);
    if let Some(folder) = variable("DEMO_TELL") {
        let file = Path::new(&folder).join(std::process::id().to_string());
        let parent = boot_variables().parent().unwrap_or_default();
        // Named last, so that nobody reads half of it.
        let draft = file.with_extension("draft");
        std::fs::write(&draft, parent.as_encoded_bytes()).expect("the folder is there");
        std::fs::rename(draft, file).expect("the folder is there");
    }
    if variable("DEMO_DROP_PRIVILEGES").is_some() {
        // This is the process's only thread.
        let nobody = 65_534;
        rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(nobody)).expect("root may");
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(nobody)).expect("root may");
    }
    if variable("DEMO_HANG_IN_BOOT").is_some() {
        loop {
            std::thread::park();
        }
    }
    while variable("DEMO_HANG_WHILE").is_some_and(|file| Path::new(&file).exists()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if variable("DEMO_EXIT_WHILE").is_some_and(|file| Path::new(&file).exists()) {
        std::process::exit(7);
    }
    let code = variable("DEMO_EXIT_IN_BOOT").and_then(|code| code.to_str()?.parse().ok());
    if let Some(code) = code {
        eprintln!("the database is not there");
        std::process::exit(code);
    }
}

/// A runtime of two threads, as the tests have.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test")
}

/// A pool of child processes, copies of the suite.
pub fn process_pool(name: &str) -> PoolBuilder {
    small_pool(name).backend(Process::new())
}

/// A pool whose backend is that of the test that asks: see [`on`].
pub fn pool(name: &str) -> PoolBuilder {
    match BACKEND.try_with(|backend| *backend).unwrap_or(Backend::Process) {
        Backend::Process => process_pool(name),
        Backend::Local => small_pool(name).backend(Local::new()),
    }
}

fn small_pool(name: &str) -> PoolBuilder {
    flame_aws::Pool::builder(name).max(2).max_concurrency(4)
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
