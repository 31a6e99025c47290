//! The demo app: the remote functions that the suites call. This file has the general-purpose
//! functions; each submodule has functions for one purpose.

pub mod channels;
pub mod commands;
pub mod containers;
pub mod gates;
pub mod misbehaving;
pub mod nesting;
pub mod output;
pub mod probes;
pub mod queries;
pub mod values;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flame_aws::{Blob, Held, Receiver, RemoteError, Sender, remote};
use flame_runner_shim::boot_variables::boot_variables;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

/// The app's state.
#[derive(Clone, Debug)]
pub struct Db(pub String);

/// A typical value of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// The video's name.
    pub name: String,
    /// The title, which is left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub tags: HashMap<String, serde_json::Value>,
}

/// An error that serde can serialize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum DemoError {
    /// The video does not exist.
    #[error("there is no such video: {0}")]
    NoVideo(String),
    /// A call has failed.
    #[error("{0}")]
    Call(String),
}

impl From<flame_aws::CallError> for DemoError {
    fn from(error: flame_aws::CallError) -> Self {
        DemoError::Call(error.to_string())
    }
}

/// Doubles a number, in a plain function.
#[remote]
pub fn double(n: u32) -> u32 {
    n * 2
}

/// Returns its argument.
#[remote]
pub async fn echo(blob: Blob) -> Blob {
    blob
}

/// Returns the id of the process that runs it.
#[remote]
pub async fn pid() -> u32 {
    std::process::id()
}

/// Returns a variable of the runner's environment.
#[remote]
pub async fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the FLAME_PARENT that the runner was started with.
#[remote]
pub async fn flame_parent() -> Option<String> {
    boot_variables().parent()?.to_str().map(str::to_owned)
}

/// Returns the name that a runner on ECS has for its own instance.
#[remote]
pub async fn ecs_instance() -> Result<String, RemoteError> {
    use flame_runner_shim::host::{Host, ecs::EcsHost};
    let host = EcsHost::discover().await.map_err(|error| RemoteError::new(&error))?;
    Ok(host.instance())
}

/// Returns `len` bytes, and the id of the process that made them.
#[remote]
pub async fn large_with_pid(len: usize) -> (Blob, u32) {
    (bytes(len), std::process::id())
}

/// Changes the title of a video, or fails if the video has no name.
#[remote]
pub async fn retitle(mut video: Video, title: Option<String>) -> Result<Video, DemoError> {
    if video.name.is_empty() {
        return Err(DemoError::NoVideo("without a name".to_owned()));
    }
    video.title = title;
    Ok(video)
}

/// Joins words, which it borrows.
#[remote]
pub async fn join(words: &[String], between: &str) -> String {
    words.join(between)
}

/// Parses a number. Its error type does not implement serde's traits.
#[remote]
pub async fn parse(text: &str) -> anyhow::Result<i64> {
    use anyhow::Context;
    text.trim().parse().with_context(|| format!("{text:?} is not a number"))
}

/// Uses the app's state on the runner.
#[remote]
pub async fn ask(question: &str, #[state] db: Db) -> String {
    format!("{question} {}", db.0)
}

/// Sleeps for `time`, and returns the id of the process that runs it.
#[remote]
pub async fn nap(time: Duration) -> u32 {
    tokio::time::sleep(time).await;
    std::process::id()
}

/// Never returns.
#[remote]
pub async fn forever() {
    std::future::pending().await
}

/// Panics with a message.
#[remote]
pub async fn panics(message: &str) {
    panic!("{message}")
}

/// Panics in a plain function.
#[remote]
pub fn panics_plainly() -> u32 {
    panic!("plainly")
}

/// Exits its process with a code while the call is under way.
#[remote]
pub async fn exits(code: i32) {
    std::process::exit(code)
}

/// Prints a line on standard output and one on standard error.
#[remote]
pub async fn prints(line: &str) {
    println!("{line}");
    eprintln!("{line} on stderr");
}

/// Streams the numbers below `to`.
#[remote]
pub fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Streams numbers without end, and counts them.
#[remote]
pub fn endless() -> impl Stream<Item = u64> {
    stream::repeat_with(|| MADE.fetch_add(1, Ordering::Relaxed))
}

/// How many items [`endless`] has made in this process.
pub(crate) static MADE: AtomicU64 = AtomicU64::new(0);

/// Streams numbers, and panics at `at`.
#[remote]
pub fn breaks_at(at: u32) -> impl Stream<Item = u32> {
    stream::iter(0..).map_until(at)
}

trait MapUntil: Stream<Item = u32> + Sized {
    fn map_until(self, at: u32) -> impl Stream<Item = u32> {
        use futures_util::StreamExt;
        self.map(move |n| if n == at { panic!("broke at {at}") } else { n })
    }
}
impl<S: Stream<Item = u32>> MapUntil for S {}

/// Sends the square of each number that it receives. Returns how many there were.
#[remote]
pub async fn squares(mut numbers: Receiver<u64>, out: Sender<u64>) -> anyhow::Result<u64> {
    let mut done = 0;
    while let Some(n) = numbers.recv().await? {
        out.send(n * n).await?;
        done += 1;
    }
    Ok(done)
}

/// A value that stays on its runner.
#[derive(Debug)]
pub struct Counter(AtomicU64);

/// Returns a held counter.
#[remote]
pub async fn counter(from: u64) -> Held<Counter> {
    Held::new(Counter(AtomicU64::new(from)))
}

/// Increments a held counter. Returns its value before, and the id of the process that holds it.
#[remote]
pub async fn next(counter: Held<Counter>) -> anyhow::Result<(u64, u32)> {
    Ok((counter.get()?.0.fetch_add(1, Ordering::Relaxed), std::process::id()))
}

/// Counts the calls of this function with each key in this process. Returns the count for `key`,
/// and `blob`.
#[remote]
pub async fn tally(key: u64, blob: Blob) -> (u64, Blob) {
    (runs().add(key), blob)
}

/// Returns this process's tally.
#[remote]
pub async fn tallied() -> Vec<(u64, u64)> {
    runs().all()
}

/// Returns this process's tally and id.
#[remote]
pub async fn tallied_at() -> (u32, Vec<(u64, u64)>) {
    (std::process::id(), runs().all())
}

struct Runs(std::sync::Mutex<HashMap<u64, u64>>);

fn runs() -> &'static Runs {
    static RUNS: std::sync::LazyLock<Runs> = std::sync::LazyLock::new(|| Runs(Default::default()));
    &RUNS
}

impl Runs {
    fn add(&self, key: u64) -> u64 {
        let mut runs = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = runs.entry(key).or_default();
        *count += 1;
        *count
    }

    fn all(&self) -> Vec<(u64, u64)> {
        let runs = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        runs.iter().map(|(key, count)| (*key, *count)).collect()
    }
}

/// Starts a pool on its runner and calls itself there, `deep` levels down. Returns the process ids,
/// the deepest first.
#[remote]
pub async fn nested(deep: u8) -> Result<Vec<u32>, RemoteError> {
    let me = std::process::id();
    if deep == 0 {
        return Ok(vec![me]);
    }
    let failed = |error: &dyn std::fmt::Display| RemoteError::new(error);
    let pool = crate::process_pool("nested").min(1).max(1).start().await;
    let pool = pool.map_err(|error| failed(&error))?;
    let call = pool.call(nested(deep - 1)).await.map_err(|error| failed(&error))?;
    let mut pids = call?;
    pids.push(me);
    Ok(pids)
}

/// Returns the id, the depth and the trace of this call.
#[remote]
pub async fn context() -> Option<(u64, u8, Option<String>)> {
    let call = flame_aws::CallContext::current()?;
    Some((call.call.0, call.depth, call.trace.map(|trace| trace.to_string())))
}

/// Returns the name of the current span and the `traceparent` of this call, and those of `deep`
/// nested calls, the deepest first.
#[remote]
pub async fn traces(deep: u8) -> Result<Vec<(String, String)>, RemoteError> {
    let span = tracing::Span::current().metadata().map_or("none", |span| span.name());
    let trace = flame_aws::CallContext::current().and_then(|call| call.trace);
    let here = (span.to_owned(), trace.map(|trace| trace.to_string()).unwrap_or_default());
    let mut all = Vec::new();
    if deep > 0 {
        let pool = crate::process_pool("traces").max(1).start().await;
        let pool = pool.map_err(|error| RemoteError::new(&error))?;
        let called = pool.call(traces(deep - 1)).await;
        all = called.map_err(|error| RemoteError::new(&error))??;
    }
    all.push(here);
    Ok(all)
}

/// Returns the name of the current span in a plain function.
#[remote]
pub fn traces_plainly() -> String {
    tracing::Span::current().metadata().map_or("none", |span| span.name()).to_owned()
}

/// Makes `len` bytes.
#[must_use]
pub fn bytes(len: usize) -> Blob {
    Bytes::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>()).into()
}
