//! Runners of another build: rejected, or turned into their parent's executable by `code_sync`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{BootFailure, BootFailureKind, CallError, PoolBuilder};
use flame_link::HelloError;
use flame_runner_shim::boot_variables::SYNCED_ENV;
use flame_runner_shim::build_id::{self, build_id};
use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_tests::process::{drains_cleanly, is_gone, signal, until_gone};
use flame_tests::program::Program;
use flame_tests::proxy::Network;
use flame_tests::{
    PoolProxy, TempDir, Test, demo, generic_runner, impostor, other_build, pool_behind_proxy,
    process_pool, tests, until,
};
use flame_wire::hello::{Proof, Rejection};
use flame_wire::ids::BuildId;
use flame_wire::token::Token;
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        without_code_sync_another_build_is_rejected_with_both_ids,
        a_runner_of_another_build_becomes_its_parents_executable,
        a_second_boot_uses_the_cache,
        two_runners_can_fetch_at_the_same_time,
        a_runner_still_of_another_build_is_rejected_after_one_fetch,
        an_unwritable_cache_fails_the_boot_and_says_what_to_set,
        a_cache_that_others_can_write_is_rejected,
        an_altered_file_in_the_cache_is_fetched_again,
        cut_connections_leave_no_partial_file_and_a_later_fetch_succeeds,
        a_boot_that_takes_too_long_to_fetch_says_so,
        a_runner_that_gets_sigterm_while_it_fetches_exits_at_once,
        a_killed_parent_leaves_no_code_synced_runner,
        only_a_runner_with_a_good_token_is_offered_the_executable,
        a_generic_runner_becomes_its_parents_executable_and_the_next_one_uses_the_cache,
        without_code_sync_a_generic_runner_is_refused_with_advice,
        a_generic_runner_that_is_killed_while_it_fetches_leaves_nothing_that_the_next_one_uses,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

/// Another build of the suite, and a cache for the executables that it fetches.
struct OtherBuild {
    folder: TempDir,
    program: PathBuf,
}

impl OtherBuild {
    fn new() -> Self {
        let folder = TempDir::new();
        let program = other_build(folder.path());
        Self { folder, program }
    }

    /// The generic runner, which is of another build than any suite.
    async fn generic() -> Self {
        Self { folder: TempDir::new(), program: generic_runner().await }
    }

    /// The cache, which the first runner creates.
    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn backend(&self) -> Process {
        Process::new().program(&self.program).env(FOLDER_ENV, self.cache())
    }

    fn pool(&self) -> PoolBuilder {
        pool().backend(self.backend())
    }

    /// Returns the complete executables in the cache, and the partial files.
    fn cached(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.partition(|path| path.extension().is_none())
    }

    fn only_cached(&self) -> PathBuf {
        let (complete, partial) = self.cached();
        assert!(partial.is_empty(), "{partial:?}");
        assert_eq!(complete.len(), 1, "{complete:?}");
        complete[0].clone()
    }
}

fn pool() -> PoolBuilder {
    process_pool("test").max(1).code_sync(true).boot_timeout(MINUTE).timeout(MINUTE)
}

fn failure<T: std::fmt::Debug>(failed: Result<T, CallError>) -> BootFailure {
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    failure.as_ref().clone()
}

fn inode(path: &Path) -> (u64, i64, i64) {
    let about = std::fs::metadata(path).unwrap();
    (about.ino(), about.mtime(), about.mtime_nsec())
}

fn is_this_executable(path: &Path) -> bool {
    std::fs::read(path).unwrap() == std::fs::read("/proc/self/exe").unwrap()
}

async fn without_code_sync_another_build_is_rejected_with_both_ids() {
    let other = OtherBuild::new();
    let pool = other.pool().code_sync(false).start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    let theirs = build_id::parse(&std::fs::read(&other.program).unwrap()).unwrap();
    for id in [build_id().unwrap(), &theirs] {
        assert!(failure.reason.contains(id.as_str()), "{failure} does not name {id}");
    }
    assert!(failure.reason.contains("code_sync"), "{failure} does not advise code_sync");
    assert_eq!(failure.kind, BootFailureKind::Rejected);
    assert!(!other.cache().exists());
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_of_another_build_becomes_its_parents_executable() {
    let other = OtherBuild::new();
    let backend = other.backend().args(["--of", "two words"]).env("DEMO_APP_VARIABLE", "as it was");
    let pool = pool().backend(backend).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let cached = other.only_cached();
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(), cached);
    assert!(is_this_executable(&cached));
    assert_eq!(std::fs::metadata(other.cache()).unwrap().mode() & 0o777, 0o700);
    let of_process = |what| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap();
    let arguments = format!("{}\0--of\0two words\0", other.program.display());
    assert_eq!(of_process("cmdline"), arguments, "the command line has changed");
    let environment = of_process("environ");
    let has = |entry: &str| environment.split('\0').any(|other| other.starts_with(entry));
    let mark = format!("{SYNCED_ENV}={}/", cached.file_name().unwrap().to_str().unwrap());
    assert!(
        has("DEMO_APP_VARIABLE=as it was") && has("FLAME_PARENT=") && has(&mark),
        "{environment}"
    );
    drains_cleanly(&pool, &[pid]).await;
}

async fn a_second_boot_uses_the_cache() {
    let other = OtherBuild::new();
    let (mut pids, mut files) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let pool = other.pool().start().await.unwrap();
        pids.push(pool.call(demo::pid()).await.unwrap());
        files.push(inode(&other.only_cached()));
        drains_cleanly(&pool, &[]).await;
    }
    assert_ne!(pids[0], pids[1], "the second runner is a new process");
    assert_eq!(files[0], files[1], "the second boot has written the file again");
}

async fn two_runners_can_fetch_at_the_same_time() {
    let (other, hold, started) = (OtherBuild::new(), TempDir::new(), TempDir::new());
    let backend = other.backend().env("DEMO_HANG_WHILE_EXISTS", hold.path());
    let backend = backend.env("DEMO_WRITE_PARENT_TO", started.path());
    let pool = pool().backend(backend).min(2).max(2).max_concurrency(1).start().await.unwrap();
    until("both children have started", || started.files().len() == 2).await;
    drop(hold);
    pool.ready().await;
    let pids = flame_tests::process::pids(&pool);
    assert_eq!(pids.len(), 2);
    assert!(is_this_executable(&other.only_cached()));
    for pid in &pids {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert!(exe.starts_with(other.cache()), "{exe:?}");
    }
    drains_cleanly(&pool, &pids).await;
}

async fn a_runner_still_of_another_build_is_rejected_after_one_fetch() {
    let (other, started) = (OtherBuild::new(), TempDir::new());
    let backend = other.backend().env("FLAME_BUILD_ID", "of-yesterday");
    let pool =
        pool().backend(backend.env("DEMO_WRITE_PARENT_TO", started.path())).start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    let ours = build_id().unwrap().as_str();
    for part in ["of-yesterday", ours, "that it downloaded", "FLAME_BUILD_ID"] {
        assert!(failure.reason.contains(part), "{failure} does not contain {part}");
    }
    assert!(is_this_executable(&other.only_cached()), "the cache has another file");
    drains_cleanly(&pool, &[]).await;
    assert_eq!(started.files().len(), 1, "the runner fetches and restarts in the same process");
}

async fn an_unwritable_cache_fails_the_boot_and_says_what_to_set() {
    let other = OtherBuild::new();
    // In the first folder not even root can create a file. The second folder can't be created.
    let read_only = PathBuf::from("/proc/self/fdinfo");
    let below_a_file = other.program.join("cache");
    for folder in [&read_only, &below_a_file] {
        let backend = other.backend().env(FOLDER_ENV, folder);
        let pool = pool().backend(backend).start().await.unwrap();
        let failure = failure(pool.call(demo::double(1)).await);
        for part in [folder.to_str().unwrap(), "FLAME_CODE_DIR", "code_sync"] {
            assert!(failure.reason.contains(part), "{failure} does not contain {part}");
        }
        drains_cleanly(&pool, &[]).await;
    }
}

async fn a_cache_that_others_can_write_is_rejected() {
    let other = OtherBuild::new();
    std::fs::create_dir(other.cache()).unwrap();
    std::fs::set_permissions(other.cache(), PermissionsExt::from_mode(0o777)).unwrap();
    let pool = other.pool().start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    for part in [other.cache().to_str().unwrap(), "written by others", "FLAME_CODE_DIR"] {
        assert!(failure.reason.contains(part), "{failure} does not contain {part}");
    }
    assert!(other.cached().0.is_empty() && other.cached().1.is_empty(), "{:?}", other.cached());
    drains_cleanly(&pool, &[]).await;
}

async fn an_altered_file_in_the_cache_is_fetched_again() {
    let other = OtherBuild::new();
    let pool = other.pool().start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    drains_cleanly(&pool, &[]).await;
    let cached = other.only_cached();
    let mut bytes = std::fs::read(&cached).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&cached, bytes).unwrap();
    let pool = other.pool().start().await.unwrap();
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    assert_eq!(other.only_cached(), cached);
    assert!(is_this_executable(&cached));
    drains_cleanly(&pool, &[]).await;
}

async fn behind_a_proxy(
    make: impl Fn() -> PoolBuilder,
    network: Network,
) -> (flame_aws::Pool, PoolProxy) {
    let (pool, proxy) = pool_behind_proxy(make, 1).await;
    proxy.set(network);
    (pool, proxy)
}

async fn cut_connections_leave_no_partial_file_and_a_later_fetch_succeeds() {
    let other = OtherBuild::new();
    let cuts = Network::Cuts(1_000_000..4_000_000);
    let (pool, proxy) = behind_a_proxy(|| other.pool(), cuts).await;
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("three connections are cut", || {
        assert!(other.cached().0.is_empty(), "{:?}", other.cached());
        proxy.ended_connections() >= 3
    })
    .await;
    proxy.set(Network::Normal);
    assert_eq!(call.await.unwrap().unwrap(), 42);
    assert!(is_this_executable(&other.only_cached()));
    drains_cleanly(&pool, &[]).await;
}

async fn a_boot_that_takes_too_long_to_fetch_says_so() {
    let other = OtherBuild::new();
    let slow = || other.pool().boot_timeout(Duration::from_secs(3));
    let (pool, _proxy) = behind_a_proxy(slow, Network::Delays(20..30)).await;
    let failure = failure(pool.call(demo::double(1)).await);
    for part in ["code_sync", "raise `boot_timeout`"] {
        assert!(failure.reason.contains(part), "{failure} does not contain {part}");
    }
    assert!(other.cached().0.is_empty());
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_that_gets_sigterm_while_it_fetches_exits_at_once() {
    let (other, started) = (OtherBuild::new(), TempDir::new());
    let make = || pool().backend(other.backend().env("DEMO_WRITE_PARENT_TO", started.path()));
    let (pool, _proxy) = behind_a_proxy(make, Network::Delays(20..30)).await;
    let call = tokio::spawn(pool.call(demo::double(1)));
    until("the runner fetches", || !other.cached().1.is_empty()).await;
    let pid = started.files()[0].file_name().unwrap().to_str().unwrap().parse().unwrap();
    signal(pid, Signal::TERM);
    let failure = failure(call.await.unwrap());
    assert_eq!(failure.exit_code, Some(0), "{failure}");
    drains_cleanly(&pool, &[pid]).await;
    let (complete, partial) = other.cached();
    assert!(complete.is_empty() && partial.is_empty(), "{complete:?} {partial:?}");
}

async fn a_killed_parent_leaves_no_code_synced_runner() {
    let mut parent = Program::start("code_synced_child", &[]);
    let pids: Vec<u32> = parent.until_ready().await.into_iter().map(|(_, pid)| pid).collect();
    assert!(pids.len() == 1 && !is_gone(pids[0]), "{pids:?}");
    parent.kill().await;
    until_gone(&pids).await;
}

async fn only_a_runner_with_a_good_token_is_offered_the_executable() {
    let (folder, hold) = (TempDir::new(), TempDir::new());
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool =
        pool().backend(backend.env("DEMO_HANG_WHILE_EXISTS", hold.path())).start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("the child has started", || !folder.files().is_empty()).await;
    let parent = impostor::flame_parent(&folder.files()[0]);
    let mut hello = impostor::hello(&parent);
    hello.build = BuildId::new("of-yesterday");
    let good = std::mem::replace(&mut hello.proof, Proof::BootToken(Token::from_bytes([7; 32])));
    let rejected = impostor::connect_for_code(&parent, &hello).await;
    assert!(matches!(rejected, Err(HelloError::Rejected(Rejection::WrongToken))), "{rejected:?}");
    hello.proof = good;
    let offered = impostor::connect_for_code(&parent, &hello).await.unwrap();
    assert_eq!(offered.offer().build, *build_id().unwrap());
    assert_eq!(offered.offer().len, std::fs::metadata("/proc/self/exe").unwrap().len());
    // The offers have not used up the token.
    drop(hold);
    assert_eq!(call.await.unwrap().unwrap(), 42);
    // The runner has used it.
    let rejected = impostor::connect_for_code(&parent, &hello).await;
    assert!(matches!(rejected, Err(HelloError::Rejected(Rejection::UsedToken))), "{rejected:?}");
    drains_cleanly(&pool, &[]).await;
}

async fn a_generic_runner_becomes_its_parents_executable_and_the_next_one_uses_the_cache() {
    let generic = OtherBuild::generic().await;
    let mut files = Vec::new();
    for _ in 0..2 {
        let pool = generic.pool().start().await.unwrap();
        assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
        let pid = pool.call(demo::pid()).await.unwrap();
        let cached = generic.only_cached();
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(), cached);
        assert!(is_this_executable(&cached));
        files.push(inode(&cached));
        drains_cleanly(&pool, &[pid]).await;
    }
    assert_eq!(files[0], files[1], "the second boot has written the file again");
}

async fn without_code_sync_a_generic_runner_is_refused_with_advice() {
    let generic = OtherBuild::generic().await;
    let pool = generic.pool().code_sync(false).start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    for part in ["flame-runner-", build_id().unwrap().as_str(), "turn on", "`code_sync`"] {
        assert!(failure.reason.contains(part), "{failure} does not contain {part}");
    }
    assert_eq!(failure.kind, BootFailureKind::Rejected);
    drains_cleanly(&pool, &[]).await;
}

async fn a_generic_runner_that_is_killed_while_it_fetches_leaves_nothing_that_the_next_one_uses() {
    let generic = OtherBuild::generic().await;
    let (pool, proxy) = behind_a_proxy(|| generic.pool(), Network::Delays(20..30)).await;
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("the runner fetches", || !generic.cached().1.is_empty()).await;
    let partial = generic.cached().1.remove(0);
    // <hash>.<pid>-<random>.part
    let name = partial.file_name().unwrap().to_str().unwrap();
    let pid = name.split(['.', '-']).nth(1).unwrap().parse().unwrap();
    signal(pid, Signal::KILL);
    let failure = failure(call.await.unwrap());
    assert!(failure.reason.contains("signal"), "{failure:?}");
    let (complete, partial) = generic.cached();
    assert!(complete.is_empty() && partial.len() == 1, "{complete:?} {partial:?}");
    proxy.set(Network::Normal);
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    let (complete, _) = generic.cached();
    assert!(complete.len() == 1 && is_this_executable(&complete[0]), "{complete:?}");
    drains_cleanly(&pool, &[pid]).await;
}
