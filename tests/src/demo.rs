//! The remote functions of the suites.

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

/// A value as apps have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Its name.
    pub name: String,
    /// Left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// Whatever else there is.
    #[serde(flatten)]
    pub tags: HashMap<String, serde_json::Value>,
}

/// An error that crosses as itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum DemoError {
    /// Bad input.
    #[error("there is no such video: {0}")]
    NoVideo(String),
    /// The call failed.
    #[error("{0}")]
    Call(String),
}

impl From<flame_aws::CallError> for DemoError {
    fn from(error: flame_aws::CallError) -> Self {
        DemoError::Call(error.to_string())
    }
}

/// Doubles, on a blocking thread.
#[remote]
pub fn double(n: u32) -> u32 {
    n * 2
}

/// Gives back what it gets.
#[remote]
pub async fn echo(blob: Blob) -> Blob {
    blob
}

/// The process that runs it.
#[remote]
pub async fn pid() -> u32 {
    std::process::id()
}

/// A variable of the runner's environment.
#[remote]
pub async fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The FLAME_PARENT that the runner was started with.
#[remote]
pub async fn flame_parent() -> Option<String> {
    boot_variables().parent()?.to_str().map(str::to_owned)
}

/// What a runner on ECS calls its instance.
#[remote]
pub async fn ecs_instance() -> Result<String, RemoteError> {
    use flame_runner_shim::host::{Host, ecs::EcsHost};
    let host = EcsHost::discover().await.map_err(|error| RemoteError::new(&error))?;
    Ok(host.instance())
}

/// That many bytes, and the process that made them.
#[remote]
pub async fn large_with_pid(len: usize) -> (Blob, u32) {
    (bytes(len), std::process::id())
}

/// A value with all that serde can do.
#[remote]
pub async fn retitle(mut video: Video, title: Option<String>) -> Result<Video, DemoError> {
    if video.name.is_empty() {
        return Err(DemoError::NoVideo("without a name".to_owned()));
    }
    video.title = title;
    Ok(video)
}

/// Borrowed arguments.
#[remote]
pub async fn join(words: &[String], between: &str) -> String {
    words.join(between)
}

/// An error without serde.
#[remote]
pub async fn parse(text: &str) -> anyhow::Result<i64> {
    use anyhow::Context;
    text.trim().parse().with_context(|| format!("{text:?} is no number"))
}

/// The app's state on the runner.
#[remote]
pub async fn ask(question: &str, #[state] db: Db) -> String {
    format!("{question} {}", db.0)
}

/// A state that nobody gives to the app would be refused at start; this one is given.
#[remote]
pub async fn nap(time: Duration) -> u32 {
    tokio::time::sleep(time).await;
    std::process::id()
}

/// Never ends by itself.
#[remote]
pub async fn forever() {
    std::future::pending().await
}

/// Panics.
#[remote]
pub async fn panics(message: &str) {
    panic!("{message}")
}

/// Panics on a blocking thread.
#[remote]
pub fn panics_plainly() -> u32 {
    panic!("plainly")
}

/// Ends its process in order, while it runs.
#[remote]
pub async fn exits(code: i32) {
    std::process::exit(code)
}

/// Prints.
#[remote]
pub async fn prints(line: &str) {
    println!("{line}");
    eprintln!("{line} on stderr");
}

/// Numbers, one after the other.
#[remote]
pub fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Numbers, and how many were made.
#[remote]
pub fn endless() -> impl Stream<Item = u64> {
    stream::repeat_with(|| MADE.fetch_add(1, Ordering::Relaxed))
}

/// What [`endless`] has made in this process.
pub(crate) static MADE: AtomicU64 = AtomicU64::new(0);

/// A stream that breaks.
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

/// A child with channels.
#[remote]
pub async fn squares(mut numbers: Receiver<u64>, out: Sender<u64>) -> anyhow::Result<u64> {
    let mut done = 0;
    while let Some(n) = numbers.recv().await? {
        out.send(n * n).await?;
        done += 1;
    }
    Ok(done)
}

/// A value that stays.
#[derive(Debug)]
pub struct Counter(AtomicU64);

/// Makes a value that stays.
#[remote]
pub async fn counter(from: u64) -> Held<Counter> {
    Held::new(Counter(AtomicU64::new(from)))
}

/// Uses it.
#[remote]
pub async fn next(counter: Held<Counter>) -> anyhow::Result<(u64, u32)> {
    Ok((counter.get()?.0.fetch_add(1, Ordering::Relaxed), std::process::id()))
}

/// Counts how often it ran in this process, for each key.
#[remote]
pub async fn tally(key: u64, blob: Blob) -> (u64, Blob) {
    (runs().add(key), blob)
}

/// The tally of this process.
#[remote]
pub async fn tallied() -> Vec<(u64, u64)> {
    runs().all()
}

/// The tally of this process, and which process that is.
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

/// A pool on a runner: calls a copy of the copy, `deep` levels down.
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

/// What a runner knows of the call that it serves.
#[remote]
pub async fn context() -> Option<(u64, u8, Option<String>)> {
    let call = flame_aws::CallContext::current()?;
    Some((call.call.0, call.depth, call.trace.map(|trace| trace.to_string())))
}

/// Where the caller stands in a trace, `deep` copies of copies down, the deepest first: the name of
/// its span and its `traceparent`.
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

/// The same of a plain function.
#[remote]
pub fn traces_plainly() -> String {
    tracing::Span::current().metadata().map_or("none", |span| span.name()).to_owned()
}

/// Some bytes.
#[must_use]
pub fn bytes(len: usize) -> Blob {
    Bytes::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>()).into()
}
