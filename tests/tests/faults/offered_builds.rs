//! Executables that a runner is offered and can't become. There is no pool: the runner's parent is the
//! test itself, which listens.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use bytes::Bytes;
use flame_aws::{HostKind, RunnerRef};
use flame_link::{ChunkSource, IncomingHello, Io, ServerKey, accept};
use flame_runner_shim::build_id;
use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_runner_shim::exit_code::EXIT_NOT_SYNCED;
use flame_tests::{TempDir, Test, generic_runner, program, requiring, tests};
use flame_wire::code::{CodeHash, CodeHasher, Offer, OfferReply, target};
use flame_wire::ids::BuildId;
use flame_wire::parent::{FlameParent, RunnerLimits};
use flame_wire::token::Token;
use tokio::process::Command;

pub(crate) fn tests() -> Vec<Test> {
    let tests = tests![
        bytes_with_another_hash_are_rejected,
        an_executable_for_another_target_is_not_fetched,
        a_file_that_is_no_executable_is_not_run_by_a_shell,
        a_library_or_loader_that_is_missing_is_named_before_the_exec,
    ];
    let hiding_proc =
        requiring(tests![a_machine_without_proc_is_named_before_the_exec], may_hide_proc);
    [tests, hiding_proc].concat()
}

/// A parent that offers any executable to one runner.
struct FakeParent {
    key: ServerKey,
    listener: tokio::net::TcpListener,
}

/// Sends these bytes.
struct Chunks(Bytes);

impl ChunkSource for Chunks {
    async fn next_chunk(&mut self) -> std::io::Result<Option<Bytes>> {
        let len = self.0.len().min(256 * 1024);
        Ok((len > 0).then(|| self.0.split_to(len)))
    }
}

/// Offers these bytes to this kind of machine.
fn offer_of(bytes: &[u8]) -> Offer {
    let mut hasher = CodeHasher::default();
    hasher.update(bytes);
    let (build, len) = (BuildId::new("b"), bytes.len() as u64);
    Offer { build, len, hash: hasher.finish(), target: target(), in_store: false }
}

/// As many bytes as are offered, that are no executable.
fn filler(offer: &Offer) -> Bytes {
    vec![b'x'; usize::try_from(offer.len).unwrap()].into()
}

impl FakeParent {
    async fn new() -> Self {
        let key = ServerKey::generate().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Self { key, listener: tokio::net::TcpListener::bind(any).await.unwrap() }
    }

    fn flame_parent(&self) -> FlameParent {
        FlameParent {
            addresses: vec![format!("ws://{}", self.listener.local_addr().unwrap())],
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

    async fn offers(&self, offer: Offer, bytes: Bytes) -> OfferReply {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let greeting =
            IncomingHello::read(accept(Io::new(tcp), &self.key).await.unwrap()).await.unwrap();
        let offering = greeting.offer(offer).await.unwrap();
        offering.send(Chunks(bytes)).await.unwrap().reply
    }
}

/// Offers an executable to a runner. Returns the runner's output, the failure that it reports to
/// its parent, and the directory of its cache.
async fn offered(offer: Offer) -> (Output, String, TempDir) {
    let bytes = filler(&offer);
    offered_to(program::copy(), offer, bytes).await
}

async fn offered_to(mut runner: Command, offer: Offer, bytes: Bytes) -> (Output, String, TempDir) {
    let (parent, folder) = (FakeParent::new().await, TempDir::new());
    let runner = runner
        .env(FlameParent::ENV, parent.flame_parent().encode().unwrap())
        .env(FOLDER_ENV, folder.path().join("cache"))
        .output();
    let (output, answer) = tokio::join!(runner, parent.offers(offer, bytes));
    let OfferReply::Failed(why) = answer else { panic!("{answer:?}") };
    (output.unwrap(), why, folder)
}

async fn bytes_with_another_hash_are_rejected() {
    let (build, hash) = (BuildId::new("b"), CodeHash([7; 32]));
    let offer = Offer { build, len: 1_000_000, hash, target: target(), in_store: false };
    let (output, reported, folder) = offered(offer).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    for text in [reported, error] {
        assert!(text.contains("is not the executable that was offered"), "{text}");
        assert!(text.contains(&hash.to_string()), "{text}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
}

async fn an_executable_for_another_target_is_not_fetched() {
    let (build, hash) = (BuildId::new("b"), CodeHash([7; 32]));
    let offer =
        Offer { build, len: 1_000_000, hash, target: "plan9-pdp11".to_owned(), in_store: false };
    let (output, reported, folder) = offered(offer).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    assert!(reported.contains("plan9-pdp11") && reported.contains(&target()), "{reported}");
    assert!(!folder.path().join("cache").exists());
}

async fn a_file_that_is_no_executable_is_not_run_by_a_shell() {
    let offer = offer_of(&[b'x'; 1_000_000]);
    let hash = offer.hash;
    let (output, reported, folder) = offered(offer).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    let file = folder.path().join("cache").join(hash.to_string());
    for part in [file.to_str().unwrap(), "can't be executed", "architecture", "FLAME_CODE_DIR"] {
        assert!(reported.contains(part), "{reported} does not contain {part}");
    }
}

/// This executable, with one text in it replaced by another of the same length.
fn altered_executable(text: &str, replaced: &str) -> Bytes {
    assert_eq!(text.len(), replaced.len());
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    // The terminating zero tells a name in a table from a part of a longer text.
    let (text, replaced) = (format!("{text}\0"), format!("{replaced}\0"));
    // The tables of the dynamic loader come first in the file.
    let tables = bytes.len().min(8 * 1024 * 1024) - text.len();
    let at: Vec<_> = (0..tables).filter(|at| bytes[*at..].starts_with(text.as_bytes())).collect();
    assert!(!at.is_empty(), "the executable does not contain {text:?}");
    for at in at {
        bytes[at..at + text.len()].copy_from_slice(replaced.as_bytes());
    }
    bytes.into()
}

async fn a_library_or_loader_that_is_missing_is_named_before_the_exec() {
    let generic = generic_runner().await;
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let Some(loader) = build_id::dynamic_loader(&bytes) else {
        // A static executable needs neither.
        return;
    };
    let other_loader = format!("{}_", &loader[..loader.len() - 1]);
    for (text, replaced) in [("libgcc_s.so.1", "libgcc_q.so.1"), (&loader, &other_loader)] {
        let altered = altered_executable(text, replaced);
        let offer = offer_of(&altered);
        let mut runner = Command::new(&generic);
        runner.kill_on_drop(true);
        let (output, reported, _folder) = offered_to(runner, offer, altered).await;
        assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
        for text in [&reported, &String::from_utf8_lossy(&output.stderr).into_owned()] {
            assert!(text.contains(replaced) && text.contains("+crt-static"), "{text}");
        }
    }
}

/// Runs a program, its first argument, where nothing is mounted at `/proc`.
const WITHOUT_PROC: [&str; 4] =
    ["--mount", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" \"$@\""];

/// Why this process can't start a program without `/proc`, if it can't.
fn may_hide_proc() -> Result<Option<String>, String> {
    let mut shell = std::process::Command::new("unshare");
    let hidden = shell.args(WITHOUT_PROC).arg("true").stderr(Stdio::null()).status();
    let may = hidden.is_ok_and(|status| status.success());
    Ok((!may).then(|| "this process may not mount anything in place of /proc".to_owned()))
}

async fn a_machine_without_proc_is_named_before_the_exec() {
    let bytes: Bytes = std::fs::read("/proc/self/exe").unwrap().into();
    let mut runner = Command::new("unshare");
    runner.args(WITHOUT_PROC).arg(generic_runner().await).kill_on_drop(true);
    let (output, reported, _folder) = offered_to(runner, offer_of(&bytes), bytes).await;
    assert_eq!(output.status.code(), Some(EXIT_NOT_SYNCED));
    for text in [&reported, &String::from_utf8_lossy(&output.stderr).into_owned()] {
        assert!(text.contains("/proc is missing") && !text.contains("loader"), "{text}");
    }
}
