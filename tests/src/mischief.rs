//! Remote functions that do what they should not, or tell what goes on around them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use flame_aws::{
    Blob, CallContext, CallError, Held, Pool, Receiver, RemoteError, RunnerRef, Sender, channel,
    remote,
};
use futures_util::{Stream, StreamExt, stream};

/// Ends its process as -9 does, while it runs.
#[remote]
pub async fn dies() {
    crate::process::kill(std::process::id());
    std::future::pending().await
}

/// Uses a core without end; nothing but the end of its process stops it.
#[remote]
pub fn spins() {
    loop {
        std::hint::spin_loop();
    }
}

/// Keeps every worker of its runner's runtime for a while.
#[remote]
pub async fn hogs_for_a_while() {
    let hog = || tokio::spawn(async { std::thread::sleep(Duration::from_millis(600)) });
    futures_util::future::join_all((0..4).map(|_| hog())).await;
}

/// Blocks every worker of its runtime without end, as no async function should.
#[remote]
pub async fn hogs() {
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    for _ in 0..workers {
        tokio::spawn(async {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
    std::future::pending().await
}

/// Never ends by itself, and takes its time when it is dropped.
#[remote]
pub async fn cleans_up_slowly() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let _slow = Slow;
    std::future::pending().await
}

/// Starts a program that holds this process's output open, and gives its pid.
#[remote]
pub async fn leaves_a_grandchild() -> anyhow::Result<u32> {
    Ok(std::process::Command::new("sleep").arg("600").spawn()?.id())
}

/// Starts the suite once more, as a plain command that is [that program](crate::program); what it
/// printed, or how it failed.
#[remote]
pub fn starts_a_command(program: &str) -> anyhow::Result<String> {
    let mut command = std::process::Command::new("/proc/self/exe");
    let output = command.env(crate::program::ENV, program).output()?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The variables of ours that a command finds in its environment.
#[remote]
pub fn inherited() -> anyhow::Result<Vec<String>> {
    let output = std::process::Command::new("env").output()?;
    let lines = String::from_utf8(output.stdout)?;
    let names = lines.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned()));
    Ok(names.filter(|name| name.starts_with("FLAME_")).collect())
}

/// Its process, and the group that this belongs to.
#[remote]
pub async fn process_group() -> (u32, u32) {
    let group = rustix::process::getpgrp().as_raw_nonzero().get();
    (std::process::id(), group.unsigned_abs())
}

/// Whether its process has a terminal.
#[remote]
pub async fn opens_the_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Says that it has begun, by its process id, and goes on when `open` is closed.
#[remote]
pub async fn gated(begun: Sender<u32>, mut open: Receiver<()>) -> anyhow::Result<u32> {
    begun.send(std::process::id()).await?;
    while open.recv().await?.is_some() {}
    Ok(std::process::id())
}

/// The test's side of [`gated`].
#[derive(Debug)]
pub struct Gate {
    begun: Receiver<u32>,
    open: Sender<()>,
}

impl Gate {
    /// A gate, and the arguments for the function behind it.
    #[must_use]
    pub fn new() -> (Self, Sender<u32>, Receiver<()>) {
        let (begun, has_begun) = channel(1);
        let (open, opened) = channel(1);
        (Self { begun: has_begun, open }, begun, opened)
    }

    /// Waits until the function runs; its process id.
    pub async fn entered(&mut self) -> u32 {
        let pid = self.begun.recv().await.expect("the function runs");
        pid.expect("the function says that it runs")
    }

    /// Lets the function go on.
    pub fn open(self) {
        drop(self.open);
    }
}

/// The time that this call has left.
#[remote]
pub async fn time_left() -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a function of the app, which has a clock")]
    let now = Instant::now();
    Some(CallContext::current()?.deadline?.saturating_duration_since(now))
}

/// As [`gated`], with an answer of some size.
#[remote]
pub async fn gated_echo(
    begun: Sender<u32>,
    mut open: Receiver<()>,
    blob: Blob,
) -> anyhow::Result<Blob> {
    begun.send(std::process::id()).await?;
    while open.recv().await?.is_some() {}
    Ok(blob)
}

/// As [`gated`], on a thread that nothing can stop.
#[remote]
pub fn gated_plainly(begun: Sender<u32>, mut open: Receiver<()>) -> u32 {
    let gate = async move {
        begun.send(std::process::id()).await.expect("the test listens");
        // A cancelled call's channels are lost; the function goes on even so until it sees that.
        while let Ok(Some(())) = open.recv().await {}
    };
    tokio::runtime::Handle::current().block_on(gate);
    std::process::id()
}

/// As [`gated`], with an answer that stays.
#[remote]
pub async fn gated_counter(begun: Sender<u32>, mut open: Receiver<()>) -> Held<AtomicUsize> {
    // Where the test has gone, it wants to know what comes of that.
    let _ = begun.send(std::process::id()).await;
    while let Ok(Some(())) = open.recv().await {}
    Held::new(AtomicUsize::new(0))
}

/// How many numbers [`demo::endless`](crate::demo::endless) has given on this runner.
#[remote]
pub async fn endless_made() -> u64 {
    crate::demo::MADE.load(Ordering::Relaxed)
}

/// Sends numbers until none is accepted for a while; how many were.
#[remote]
pub async fn fills(numbers: Sender<u64>) -> u64 {
    let mut sent = 0;
    let patience = Duration::from_millis(300);
    while let Ok(Ok(())) = tokio::time::timeout(patience, numbers.send(sent)).await {
        sent += 1;
    }
    sent
}

/// Sends so many messages of some bytes, and returns how many were accepted.
#[remote]
pub async fn produces(out: Sender<Blob>, count: usize, bytes: usize) -> usize {
    for sent in 0..count {
        if out.send(crate::demo::bytes(bytes)).await.is_err() {
            return sent;
        }
    }
    count
}

/// So many pieces of some bytes.
#[remote]
pub fn pieces(count: usize, bytes: usize) -> impl Stream<Item = Blob> {
    stream::iter(0..count).map(move |_| crate::demo::bytes(bytes))
}

/// Reads its channels to their ends; how many ended as they should.
#[remote]
pub async fn ended(channels: Vec<Receiver<u64>>) -> usize {
    let mut ended = 0;
    for mut channel in channels {
        while let Ok(message) = channel.recv().await {
            if message.is_none() {
                ended += 1;
                break;
            }
        }
    }
    ended
}

/// Keeps its channels for as long as it is let.
#[remote]
pub async fn keeps(_channels: Vec<Receiver<()>>) {
    std::future::pending().await
}

/// Values that stay, one by one.
#[remote]
pub fn gives_counters() -> impl Stream<Item = Held<AtomicUsize>> {
    stream::iter(0..).map(|number| Held::new(AtomicUsize::new(number)))
}

/// Who is on which runner; with the local backend there are several in a process.
static INSIDE: LazyLock<Mutex<HashMap<RunnerRef, (usize, usize)>>> = LazyLock::new(Mutex::default);

/// Stays for a while; the most that were ever inside at the same time, and where.
#[remote]
pub async fn crowd_of(time: Duration) -> (usize, [u8; 16]) {
    let runner = CallContext::current().expect("a call").runner;
    let at = |change: fn(&mut (usize, usize))| {
        let mut inside = INSIDE.lock().expect("nothing panics with the lock");
        let inside = inside.entry(runner).or_default();
        change(inside);
        inside.1
    };
    at(|(now, most)| {
        *now += 1;
        *most = (*most).max(*now);
    });
    tokio::time::sleep(time).await;
    (at(|(now, _)| *now -= 1), *runner.as_bytes())
}

static MAY_END: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// What a suite's app says to "may this idle runner end?", if it is asked to ask.
pub(crate) fn idle_predicate() -> bool {
    ASKED.fetch_add(1, Ordering::SeqCst);
    MAY_END.load(Ordering::SeqCst)
}

/// How often the runner was asked so far.
#[remote]
pub async fn asked() -> usize {
    ASKED.load(Ordering::SeqCst)
}

/// From now on this runner may end.
#[remote]
pub async fn may_end() {
    MAY_END.store(true, Ordering::SeqCst);
}

/// Prints, and goes on for long enough to be heard while it does.
#[remote]
pub async fn prints_and_stays(line: &str) {
    println!("{line}");
    eprintln!("{line} on stderr");
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// A line of [`prints_lines`] and [`logs_lines`], of 500 bytes.
#[must_use]
pub fn long_line(number: usize) -> String {
    format!("line {number:06} {}", "z".repeat(488))
}

/// Prints so many lines, on both streams in turn.
#[remote]
pub fn prints_lines(lines: usize) {
    for number in 0..lines {
        if number % 2 == 0 {
            println!("{}", long_line(number));
        } else {
            eprintln!("{}", long_line(number));
        }
    }
}

/// Logs so many lines, at a pace that the link keeps.
#[remote]
pub async fn logs_lines(lines: usize) {
    for number in 0..lines {
        tracing::info!("{}", long_line(number));
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}

/// Logs an error and a warning, and has a thread that panics.
#[remote]
pub async fn fails_in_its_log() {
    tracing::error!(disk = 7, "the disk is full");
    tracing::warn!("the disk was nearly full");
    let _ = std::thread::spawn(|| panic!("a thread of the function panics")).join();
}

/// Logs at two levels.
#[remote]
pub async fn logs(text: &str) {
    tracing::info!(answer = 42, "{text}");
    tracing::debug!("too fine to be sent");
}

/// A pool on this runner whose depth is limited; what comes of it, as text.
#[remote]
pub async fn boots_at_depth(limit: u8) -> Result<(), RemoteError> {
    let pool = crate::process_pool("deeper").max_depth(limit).start().await;
    pool.map(drop).map_err(|error| RemoteError::new(&error))
}

/// A pool with `min` on this runner; how many runners it boots by itself.
#[remote]
pub async fn starts_with_min() -> Result<usize, RemoteError> {
    let pool = crate::process_pool("deeper").min(2).start().await;
    let pool = pool.map_err(|error| RemoteError::new(&error))?;
    pool.ready().await;
    Ok(pool.snapshot().runners.len())
}

/// A runner that is a parent: a child of its own spins. Both pids, and then nothing any more.
#[remote]
pub async fn keeps_a_spinning_child(pids: Sender<u32>) -> Result<(), RemoteError> {
    let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
    let pool = crate::process_pool("deeper").timeout(None).start().await;
    let pool = pool.map_err(|error| failed(&error))?;
    let child = pool.call(crate::demo::pid()).await.map_err(|error| failed(&error))?;
    for pid in [std::process::id(), child] {
        pids.send(pid).await.map_err(|error| failed(&error))?;
    }
    pool.call(spins()).await.map_err(|error| failed(&error))
}

static ITS_POOL: OnceLock<Pool> = OnceLock::new();

/// Calls itself, by the pool that it was called by.
#[remote]
pub async fn calls_itself() -> Result<(), RemoteError> {
    let pool = ITS_POOL.get().ok_or_else(|| RemoteError::new("in another process"))?;
    pool.call(calls_itself()).await.map_err(|error| RemoteError::new(&error))?
}

/// Calls [`calls_itself`] by a pool whose runners are in this process.
///
/// # Errors
/// That of the first call.
pub async fn call_endlessly(pool: &Pool) -> Result<Result<(), RemoteError>, CallError> {
    let pool = ITS_POOL.get_or_init(|| pool.clone());
    pool.call(calls_itself()).await
}
