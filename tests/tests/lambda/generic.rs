//! The generic runner as the bootstrap of a function: a supervisor, whose child becomes the
//! executable of each parent in turn.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use flame_aws::{BootFailureKind, CallError, Pool, PoolBuilder};
use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_tests::demo::misbehaving;
use flame_tests::emulator::Function;
use flame_tests::process::{signal, until_gone};
use flame_tests::program::Program;
use flame_tests::{TempDir, Test, demo, generic_runner, on_generic_runners, other_build, tests};
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    on_generic_runners(tests![
        a_generic_runner_becomes_its_parents_executable_within_the_invocation,
        the_next_invocation_finds_the_app_running_and_downloads_nothing,
        a_parent_of_another_build_gets_its_own_executable_in_a_warm_environment,
        without_code_sync_a_generic_runner_fails_the_boot_with_advice,
        a_dead_runner_fails_its_invocation_and_the_environment_lives_on,
        a_plain_function_that_still_runs_ends_its_process_and_not_the_environment,
        sigterm_ends_the_supervisor_after_its_runner,
    ])
}

/// A function whose bootstrap is the generic runner, and the cache of its environments.
struct GenericFunction {
    function: Function,
    folder: TempDir,
}

impl GenericFunction {
    async fn new() -> Self {
        let (folder, generic) = (TempDir::new(), generic_runner().await);
        let cache = folder.path().join("cache");
        let variables = [("FLAME_RUNNER", "lambda"), (FOLDER_ENV, cache.to_str().unwrap())];
        let function = Function::of_program(&generic, &variables).await;
        Self { function, folder }
    }

    async fn pool(&self) -> PoolBuilder {
        let minute = Duration::from_secs(60);
        self.function.pool().await.max(1).code_sync(true).boot_timeout(minute).timeout(minute / 2)
    }

    async fn start(&self) -> Pool {
        self.pool().await.start().await.unwrap()
    }

    /// The files in the cache, with what changes when one is written again.
    fn cached(&self) -> Vec<(PathBuf, u64, i64, i64)> {
        let entries = std::fs::read_dir(self.folder.path().join("cache")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let about = entry.metadata().unwrap();
                (entry.path(), about.ino(), about.mtime(), about.mtime_nsec())
            })
            .collect();
        files.sort();
        files
    }

    /// The supervisor: the only environment.
    async fn supervisor(&self) -> u32 {
        let running = self.function.account.running().await;
        assert_eq!(running.len(), 1, "one environment");
        running[0]
    }
}

fn executable(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

fn is_this_executable(path: &PathBuf) -> bool {
    std::fs::read(path).unwrap() == std::fs::read("/proc/self/exe").unwrap()
}

async fn a_generic_runner_becomes_its_parents_executable_within_the_invocation() {
    let generic = GenericFunction::new().await;
    let pool = generic.start().await;
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    let pid = pool.call(demo::pid()).await.unwrap();
    let supervisor = generic.supervisor().await;
    assert_ne!(pid, supervisor);
    assert_eq!(executable(supervisor), generic_runner().await);
    let cached = generic.cached();
    assert!(cached.len() == 1 && executable(pid) == cached[0].0, "{cached:?}");
    assert!(is_this_executable(&cached[0].0));
    pool.drain().await;
    // The invocation has ended with the answer of the app.
    assert_eq!(generic.function.until_quiet().await, [supervisor]);
    assert_eq!(generic.function.account.count("Invoke").await, 1);
    generic.function.until_logged(1, "the runner ended after", Duration::from_secs(10)).await;
}

async fn the_next_invocation_finds_the_app_running_and_downloads_nothing() {
    let generic = GenericFunction::new().await;
    let (mut pids, mut files) = (Vec::new(), Vec::new());
    for round in 1..=2 {
        let pool = generic.start().await;
        let (count, _) = pool.call(demo::tally(7, demo::bytes(1))).await.unwrap();
        assert_eq!(count, round, "a static of the app has survived");
        pids.push((generic.supervisor().await, pool.call(demo::pid()).await.unwrap()));
        files.push(generic.cached());
        pool.drain().await;
        generic.function.until_quiet().await;
    }
    assert_eq!(pids[0], pids[1]);
    assert_eq!(files[0], files[1]);
    assert_eq!(generic.function.account.count("Invoke").await, 2);
}

async fn a_parent_of_another_build_gets_its_own_executable_in_a_warm_environment() {
    let (generic, folder) = (GenericFunction::new().await, TempDir::new());
    let pool = generic.start().await;
    let pid = pool.call(demo::pid()).await.unwrap();
    let (supervisor, first) = (generic.supervisor().await, executable(pid));
    pool.drain().await;
    generic.function.until_quiet().await;
    let other = other_build(folder.path());
    let variables = generic.function.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let parent = Program::start_build(&other, "code_synced_on_lambda", &variables);
    let (printed, _) = parent.finish().await;
    assert_eq!(printed.trim(), format!("runner {pid}"), "the same process");
    generic.function.until_quiet().await;
    assert_ne!(executable(pid), first);
    assert!(std::fs::read(executable(pid)).unwrap() == std::fs::read(&other).unwrap());
    // The first parent's build comes back, from the cache.
    let files = generic.cached();
    assert_eq!(files.len(), 2);
    let pool = generic.start().await;
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    assert_eq!(executable(pid), first);
    pool.drain().await;
    assert_eq!(generic.function.until_quiet().await, [supervisor]);
    assert_eq!(generic.cached(), files);
}

async fn without_code_sync_a_generic_runner_fails_the_boot_with_advice() {
    let generic = GenericFunction::new().await;
    let pool = generic.pool().await.code_sync(false).start().await.unwrap();
    let failed = pool.call(demo::double(1)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.kind, BootFailureKind::Rejected, "{failure}");
    assert!(failure.reason.contains("turn on the pool's option `code_sync`"), "{failure}");
    pool.drain().await;
}

async fn a_dead_runner_fails_its_invocation_and_the_environment_lives_on() {
    let generic = GenericFunction::new().await;
    let pool = generic.pool().await.reconnect_timeout(Duration::from_secs(600));
    let pool = pool.start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let (supervisor, files) = (generic.supervisor().await, generic.cached());
    let lost = pool.call(misbehaving::dies()).await;
    let Err(CallError::RunnerLost { started: true, reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("ended during the invocation: "), "{reason}");
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    pool.drain().await;
    assert_eq!(generic.function.until_quiet().await, [supervisor]);
    assert_eq!(generic.cached(), files, "the executable comes from the cache");
}

async fn a_plain_function_that_still_runs_ends_its_process_and_not_the_environment() {
    let generic = GenericFunction::new().await;
    let pool = generic.pool().await.shutdown_timeout(Duration::from_millis(300));
    let pool = pool.start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let supervisor = generic.supervisor().await;
    pool.cast(misbehaving::spins()).await.unwrap();
    pool.drain().await;
    until_gone(&[pid]).await;
    let pool = generic.start().await;
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    pool.drain().await;
    assert_eq!(generic.function.until_quiet().await, [supervisor]);
}

async fn sigterm_ends_the_supervisor_after_its_runner() {
    let generic = GenericFunction::new().await;
    let pool = generic.start().await;
    let pid = pool.call(demo::pid()).await.unwrap();
    let supervisor = generic.supervisor().await;
    signal(supervisor, Signal::TERM);
    until_gone(&[pid, supervisor]).await;
    generic.function.until_logged(1, "it received signal 15", Duration::from_secs(10)).await;
    pool.drain().await;
}
