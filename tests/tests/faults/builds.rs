//! Runners of another build are refused; or, with `code_sync`, they become their parent's
//! executable.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use bytes::Bytes;
use flame_aws::backend::Process;
use flame_aws::{
    BootFailure, BootFailureKind, BuildId, CallError, HostKind, PoolBuilder, RunnerRef,
};
use flame_link::{Chunks, Greeting, HelloError, ServerKey, accept};
use flame_runner_shim::build_id::{self, build_id};
use flame_runner_shim::code_sync::{EXIT_NOT_SYNCED, FOLDER_ENV, MARK_ENV};
use flame_tests::process::{ends_clean, is_gone, signal, until_gone};
use flame_tests::program::{self, Program};
use flame_tests::proxy::{Proxy, Weather, pool_behind};
use flame_tests::{Folder, Test, demo, impostor, other_build, process_pool, tests, until};
use flame_wire::code::{CodeHash, CodeHasher, Offer, Wish, target};
use flame_wire::hello::{Proof, Refusal};
use flame_wire::parent::{FlameParent, RunnerLimits};
use flame_wire::token::Token;
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        without_code_sync_another_build_is_refused_with_both_ids,
        a_runner_of_another_build_becomes_its_parents_executable,
        a_second_boot_takes_it_from_the_cache,
        two_runners_that_fetch_at_once_both_come_up,
        one_that_is_of_another_build_even_then_is_refused_after_one_fetch,
        a_folder_that_can_not_be_written_is_a_failed_boot_that_says_what_to_set,
        a_folder_that_others_may_write_is_refused,
        a_fetched_file_that_was_altered_is_fetched_anew,
        connections_that_are_cut_leave_no_half_file_and_the_next_one_brings_all,
        a_boot_that_takes_too_long_to_fetch_says_so,
        a_runner_that_gets_sigterm_while_it_fetches_ends_at_once,
        a_killed_parent_leaves_no_runner_that_has_become_it,
        only_a_good_token_is_offered_the_executable,
        a_parent_that_sends_other_bytes_is_not_believed,
        an_executable_for_other_machines_is_not_fetched,
        what_is_no_executable_is_not_handed_to_a_shell,
    ]
}

const MINUTE: Duration = Duration::from_secs(60);

/// Another build of the suite, and a cache for what it fetches.
struct Scene {
    folder: Folder,
    program: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let program = other_build(folder.path());
        Self { folder, program }
    }

    /// Made by the first runner.
    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn backend(&self) -> Process {
        Process::new().program(&self.program).env(FOLDER_ENV, self.cache())
    }

    fn pool(&self) -> PoolBuilder {
        pool().backend(self.backend())
    }

    /// The files in the cache that have the name of an executable, and those that have not.
    fn cached(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.partition(|path| path.extension().is_none())
    }

    fn only_cached(&self) -> PathBuf {
        let (whole, drafts) = self.cached();
        assert!(drafts.is_empty(), "{drafts:?}");
        assert_eq!(whole.len(), 1, "{whole:?}");
        whole[0].clone()
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

async fn without_code_sync_another_build_is_refused_with_both_ids() {
    let scene = Scene::new();
    let pool = scene.pool().code_sync(false).start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    let theirs = build_id::parse(&std::fs::read(&scene.program).unwrap()).unwrap();
    for id in [build_id().unwrap(), &theirs] {
        assert!(failure.reason.contains(id.as_str()), "{failure} names {id}");
    }
    assert!(failure.reason.contains("code_sync"), "{failure} says what would help");
    assert_eq!(failure.kind, BootFailureKind::Rejected);
    assert!(!scene.cache().exists());
    ends_clean(&pool, &[]).await;
}

async fn a_runner_of_another_build_becomes_its_parents_executable() {
    let scene = Scene::new();
    let backend = scene.backend().args(["--of", "two words"]).env("DEMO_MINE", "as it was");
    let pool = pool().backend(backend).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let cached = scene.only_cached();
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(), cached);
    assert!(is_this_executable(&cached));
    assert_eq!(std::fs::metadata(scene.cache()).unwrap().mode() & 0o777, 0o700);
    let of_process = |what| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap();
    let arguments = format!("{}\0--of\0two words\0", scene.program.display());
    assert_eq!(of_process("cmdline"), arguments, "as it was started");
    let environment = of_process("environ");
    let has = |entry: &str| environment.split('\0').any(|other| other.starts_with(entry));
    let mark = format!("{MARK_ENV}={}/", cached.file_name().unwrap().to_str().unwrap());
    assert!(has("DEMO_MINE=as it was") && has("FLAME_PARENT=") && has(&mark), "{environment}");
    ends_clean(&pool, &[pid]).await;
}

async fn a_second_boot_takes_it_from_the_cache() {
    let scene = Scene::new();
    let (mut pids, mut files) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let pool = scene.pool().start().await.unwrap();
        pids.push(pool.call(demo::pid()).await.unwrap());
        files.push(inode(&scene.only_cached()));
        ends_clean(&pool, &[]).await;
    }
    assert_ne!(pids[0], pids[1], "two boots");
    assert_eq!(files[0], files[1], "nothing was written by the second");
}

async fn two_runners_that_fetch_at_once_both_come_up() {
    let (scene, hold, told) = (Scene::new(), Folder::new(), Folder::new());
    let backend = scene.backend().env("DEMO_HANG_WHILE", hold.path());
    let backend = backend.env("DEMO_TELL", told.path());
    let pool = pool().backend(backend).min(2).max(2).max_concurrency(1).start().await.unwrap();
    until("both boot", || told.files().len() == 2).await;
    drop(hold);
    pool.ready().await;
    let pids = flame_tests::process::pids(&pool);
    assert_eq!(pids.len(), 2);
    assert!(is_this_executable(&scene.only_cached()));
    for pid in &pids {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert!(exe.starts_with(scene.cache()), "{exe:?}");
    }
    ends_clean(&pool, &pids).await;
}

async fn one_that_is_of_another_build_even_then_is_refused_after_one_fetch() {
    let (scene, told) = (Scene::new(), Folder::new());
    let backend = scene.backend().env("FLAME_BUILD_ID", "of-yesterday");
    let pool = pool().backend(backend.env("DEMO_TELL", told.path())).start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    let ours = build_id().unwrap().as_str();
    for part in ["of-yesterday", ours, "has fetched", "FLAME_BUILD_ID"] {
        assert!(failure.reason.contains(part), "{failure} says {part}");
    }
    assert!(is_this_executable(&scene.only_cached()), "it has fetched it");
    ends_clean(&pool, &[]).await;
    assert_eq!(told.files().len(), 1, "in one process");
}

async fn a_folder_that_can_not_be_written_is_a_failed_boot_that_says_what_to_set() {
    let scene = Scene::new();
    // A folder in which nobody can make a file, root included; and one that can't be made.
    let read_only = PathBuf::from("/proc/self/fdinfo");
    let below_a_file = scene.program.join("cache");
    for folder in [&read_only, &below_a_file] {
        let backend = scene.backend().env(FOLDER_ENV, folder);
        let pool = pool().backend(backend).start().await.unwrap();
        let failure = failure(pool.call(demo::double(1)).await);
        for part in [folder.to_str().unwrap(), "FLAME_CODE_DIR", "code_sync"] {
            assert!(failure.reason.contains(part), "{failure} says {part}");
        }
        ends_clean(&pool, &[]).await;
    }
}

async fn a_folder_that_others_may_write_is_refused() {
    let scene = Scene::new();
    std::fs::create_dir(scene.cache()).unwrap();
    std::fs::set_permissions(scene.cache(), PermissionsExt::from_mode(0o777)).unwrap();
    let pool = scene.pool().start().await.unwrap();
    let failure = failure(pool.call(demo::double(1)).await);
    for part in [scene.cache().to_str().unwrap(), "written by others", "FLAME_CODE_DIR"] {
        assert!(failure.reason.contains(part), "{failure} says {part}");
    }
    assert!(scene.cached().0.is_empty() && scene.cached().1.is_empty(), "{:?}", scene.cached());
    ends_clean(&pool, &[]).await;
}

async fn a_fetched_file_that_was_altered_is_fetched_anew() {
    let scene = Scene::new();
    let pool = scene.pool().start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    ends_clean(&pool, &[]).await;
    let cached = scene.only_cached();
    let mut bytes = std::fs::read(&cached).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&cached, bytes).unwrap();
    let pool = scene.pool().start().await.unwrap();
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8);
    assert_eq!(scene.only_cached(), cached);
    assert!(is_this_executable(&cached));
    ends_clean(&pool, &[]).await;
}

async fn behind_a_proxy(
    make: impl Fn() -> PoolBuilder,
    weather: Weather,
) -> (flame_aws::Pool, Proxy) {
    let (pool, proxy) = pool_behind(make, 1).await;
    proxy.set(weather);
    (pool, proxy)
}

async fn connections_that_are_cut_leave_no_half_file_and_the_next_one_brings_all() {
    let scene = Scene::new();
    let cuts = Weather::Cuts(1_000_000..4_000_000);
    let (pool, proxy) = behind_a_proxy(|| scene.pool(), cuts).await;
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("three connections are cut", || {
        assert!(scene.cached().0.is_empty(), "{:?}", scene.cached());
        proxy.cuts() >= 3
    })
    .await;
    proxy.set(Weather::Fair);
    assert_eq!(call.await.unwrap().unwrap(), 42);
    assert!(is_this_executable(&scene.only_cached()));
    ends_clean(&pool, &[]).await;
}

async fn a_boot_that_takes_too_long_to_fetch_says_so() {
    let scene = Scene::new();
    let slow = || scene.pool().boot_timeout(Duration::from_secs(3));
    let (pool, _proxy) = behind_a_proxy(slow, Weather::Delays(20..30)).await;
    let failure = failure(pool.call(demo::double(1)).await);
    for part in ["code_sync", "raise `boot_timeout`"] {
        assert!(failure.reason.contains(part), "{failure} says {part}");
    }
    assert!(scene.cached().0.is_empty());
    ends_clean(&pool, &[]).await;
}

async fn a_runner_that_gets_sigterm_while_it_fetches_ends_at_once() {
    let (scene, told) = (Scene::new(), Folder::new());
    let make = || pool().backend(scene.backend().env("DEMO_TELL", told.path()));
    let (pool, _proxy) = behind_a_proxy(make, Weather::Delays(20..30)).await;
    let call = tokio::spawn(pool.call(demo::double(1)));
    until("it fetches", || !scene.cached().1.is_empty()).await;
    let pid = told.files()[0].file_name().unwrap().to_str().unwrap().parse().unwrap();
    signal(pid, Signal::TERM);
    let failure = failure(call.await.unwrap());
    assert_eq!(failure.exit_code, Some(0), "{failure}");
    ends_clean(&pool, &[pid]).await;
    let (whole, drafts) = scene.cached();
    assert!(whole.is_empty() && drafts.is_empty(), "{whole:?} {drafts:?}");
}

async fn a_killed_parent_leaves_no_runner_that_has_become_it() {
    let mut parent = Program::start("synced", &[]);
    let pids: Vec<u32> = parent.until_ready().await.into_iter().map(|(_, pid)| pid).collect();
    assert!(pids.len() == 1 && !is_gone(pids[0]), "{pids:?}");
    parent.kill().await;
    until_gone(&pids).await;
}

async fn only_a_good_token_is_offered_the_executable() {
    let (folder, hold) = (Folder::new(), Folder::new());
    let backend = Process::new().env("DEMO_TELL", folder.path());
    let pool = pool().backend(backend.env("DEMO_HANG_WHILE", hold.path())).start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::double(21)));
    until("the child boots", || !folder.files().is_empty()).await;
    let parent = impostor::flame_parent(&folder.files()[0]);
    let mut hello = impostor::hello(&parent);
    hello.build = BuildId::new("of-yesterday");
    let good = std::mem::replace(&mut hello.proof, Proof::First(Token::from_bytes([7; 32])));
    let refused = impostor::knock_for_code(&parent, &hello).await;
    assert!(matches!(refused, Err(HelloError::Refused(Refusal::WrongToken))), "{refused:?}");
    hello.proof = good;
    let offered = impostor::knock_for_code(&parent, &hello).await.unwrap();
    assert_eq!(offered.offer().build, *build_id().unwrap());
    assert_eq!(offered.offer().len, std::fs::metadata("/proc/self/exe").unwrap().len());
    // The token is as good as it was.
    drop(hold);
    assert_eq!(call.await.unwrap().unwrap(), 42);
    // And now it is used.
    let refused = impostor::knock_for_code(&parent, &hello).await;
    assert!(matches!(refused, Err(HelloError::Refused(Refusal::UsedToken))), "{refused:?}");
    ends_clean(&pool, &[]).await;
}

/// A parent that offers what it likes to one runner, and what became of it.
struct Liar {
    key: ServerKey,
    listener: tokio::net::TcpListener,
}

struct Bytewise(u64);

impl Chunks for Bytewise {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let len = self.0.min(1000);
        self.0 -= len;
        Ok((len > 0).then(|| Bytes::from(vec![b'x'; usize::try_from(len).unwrap()])))
    }
}

impl Liar {
    async fn new() -> Self {
        let key = ServerKey::generate().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Self { key, listener: tokio::net::TcpListener::bind(any).await.unwrap() }
    }

    fn flame_parent(&self) -> FlameParent {
        FlameParent {
            address: format!("ws://{}", self.listener.local_addr().unwrap()),
            runner: RunnerRef::from_bytes([1; 16]),
            token: Token::from_bytes([1; 32]),
            expires_unix_ms: None,
            fingerprint: self.key.fingerprint(),
            host: HostKind::Process,
            pool: "test".to_owned(),
            depth: 1,
            limits: RunnerLimits::default(),
        }
    }

    async fn offers(&self, offer: Offer) -> Wish {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let greeting = Greeting::read(accept(tcp, &self.key).await.unwrap()).await.unwrap();
        let bytes = Bytewise(offer.len);
        let offering = greeting.offer(offer).await.unwrap();
        offering.hand_over(bytes).await.unwrap().outcome
    }
}

/// What becomes of a runner that is offered this, and what its parent hears of it.
async fn offered(offer: Offer) -> (Output, String, Folder) {
    let (liar, folder) = (Liar::new().await, Folder::new());
    let runner = program::copy()
        .env(FlameParent::ENV, liar.flame_parent().encode().unwrap())
        .env(FOLDER_ENV, folder.path().join("cache"))
        .output();
    let (output, heard) = tokio::join!(runner, liar.offers(offer));
    let Wish::Failed(why) = heard else { panic!("{heard:?}") };
    (output.unwrap(), why, folder)
}

async fn a_parent_that_sends_other_bytes_is_not_believed() {
    let (build, hash) = (BuildId::new("b"), CodeHash([7; 32]));
    let lie = Offer { build, len: 1_000_000, hash, target: target() };
    let (output, heard, folder) = offered(lie).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    for said in [heard, error] {
        assert!(said.contains("is not the executable that was offered"), "{said}");
        assert!(said.contains(&hash.to_string()), "{said}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
}

async fn an_executable_for_other_machines_is_not_fetched() {
    let (build, hash) = (BuildId::new("b"), CodeHash([7; 32]));
    let other = Offer { build, len: 1_000_000, hash, target: "plan9-pdp11".to_owned() };
    let (output, heard, folder) = offered(other).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    assert!(heard.contains("plan9-pdp11") && heard.contains(&target()), "{heard}");
    assert!(!folder.path().join("cache").exists());
}

async fn what_is_no_executable_is_not_handed_to_a_shell() {
    let bytes = [b'x'; 1_000_000];
    let mut hasher = CodeHasher::default();
    hasher.update(&bytes);
    let (build, hash) = (BuildId::new("b"), hasher.finish());
    let offer = Offer { build, len: bytes.len() as u64, hash, target: target() };
    let (output, heard, folder) = offered(offer).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    let file = folder.path().join("cache").join(hash.to_string());
    for part in [file.to_str().unwrap(), "can't be executed", "architecture", "FLAME_CODE_DIR"] {
        assert!(heard.contains(part), "{heard} says {part}");
    }
}
