//! The log of runners: what they log and print arrives in the parent's log, and at those who
//! listen.
//!
//! ```text
//!  link ── event ───▶ PoolLog ─┬─▶ Pool::logs, Call::logs: bounded, each listener on its own
//!  pipe ── printed ─▶          └─▶ log_writer ─▶ the app's subscriber, or standard error
//! ```
//!
//! Each line becomes a `tracing` event (target `flame::runner`) with the pool, the runner and, if
//! it is known, the call. If the app has no `tracing` subscriber, the lines go to its standard
//! error.
//!
//! The subscriber and standard error may both block while nothing reads their output. So the thread
//! of [`log_writer`] does the writing, and the functions here return at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use flame_runner_shim::log_writer;
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message;
use flame_wire::sync::Mutex;
use tokio::sync::broadcast;
use tracing::Level;

use self::printed::Context;
use crate::backend::{OutputLine, OutputStream};
use crate::metrics::PROCESS;

mod listen;
mod printed;
#[cfg(test)]
mod tests;

pub use listen::{LogRecord, Logs};

const TARGET: &str = "flame::runner";
/// Records that a listener may be behind before it misses the oldest.
const BUFFERED_RECORDS: usize = 1024;

/// Emits an event of a level that is known only at run time.
macro_rules! event {
    ($level:expr, $($what:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!(target: TARGET, $($what)*),
            Level::WARN => tracing::warn!(target: TARGET, $($what)*),
            Level::INFO => tracing::info!(target: TARGET, $($what)*),
            Level::DEBUG => tracing::debug!(target: TARGET, $($what)*),
            Level::TRACE => tracing::trace!(target: TARGET, $($what)*),
        }
    };
}

/// The log of one pool's runners.
pub(crate) struct PoolLog {
    pool: Arc<str>,
    listeners: broadcast::Sender<Arc<LogRecord>>,
    /// The contexts of the lines that the listeners have received.
    contexts: Mutex<Contexts>,
    dropped: AtomicU64,
}

impl PoolLog {
    pub(crate) fn new(pool: &str) -> Self {
        Self {
            pool: pool.into(),
            listeners: broadcast::Sender::new(BUFFERED_RECORDS),
            contexts: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes an event that a runner has sent over its link.
    pub(crate) fn event(&self, runner: RunnerRef, event: message::LogMessage) {
        let message::LogMessage { call, level, target, text, dropped } = event;
        self.count_dropped(dropped);
        let len = text.len() + target.len();
        let record = Arc::new(LogRecord {
            pool: self.pool.clone(),
            runner,
            call: call.map(CallId),
            level: level_of(level),
            target: Some(target),
            text,
            stream: None,
            time: now(),
        });
        // Fails only if nobody listens.
        let _ = self.listeners.send(record.clone());
        self.write(len, move |stderr| {
            let LogRecord { pool, runner, call, level, target, text, .. } = &*record;
            let target = target.as_deref().unwrap_or_default();
            if !log_writer::has_subscriber() {
                return print(stderr, pool, *runner, *call, &format!("{level} {target}: {text}"));
            }
            let call = call.map(tracing::field::display);
            event!(*level, pool = &**pool, %runner, call, from = target, "{text}");
        });
    }

    /// Takes a line that a runner printed. `call` is known if the runner was serving exactly one
    /// call.
    pub(crate) fn printed(&self, line: OutputLine, call: Option<CallId>) {
        if self.listeners.receiver_count() > 0 {
            // Read now: the thread of the log may be behind.
            let text = printed::strip_escapes(&line.line);
            let printed = self.contexts.lock().read(line.runner, line.stream, &text);
            let _ = self.listeners.send(Arc::new(LogRecord {
                pool: self.pool.clone(),
                runner: line.runner,
                call,
                level: level_of(printed.level),
                target: None,
                text: printed.text.into_owned(),
                stream: Some(line.stream),
                time: now(),
            }));
        }
        let pool = self.pool.clone();
        self.write(line.line.len(), move |stderr| {
            thread_local! {
                static CONTEXTS: RefCell<Contexts> = RefCell::default();
            }
            let OutputLine { runner, stream, line } = line;
            let line = printed::strip_escapes(&line);
            if !log_writer::has_subscriber() {
                return print(stderr, &pool, runner, call, &line);
            }
            let printed = CONTEXTS.with_borrow_mut(|all| all.read(runner, stream, &line));
            let call = call.map(tracing::field::display);
            let stream = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            let level = level_of(printed.level);
            event!(level, pool = &*pool, %runner, call, stream, "{}", printed.text);
        });
    }

    /// The records from now on.
    pub(crate) fn listen(&self) -> Logs {
        Logs::new(self.listeners.subscribe())
    }

    /// The lines that were dropped so far: by runners whose links did not keep up, and here because
    /// the log did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn write(&self, len: usize, line: impl FnOnce(&mut Vec<u8>) + Send + 'static) {
        if !log_writer::global().push(len, line) {
            self.count_dropped(1);
        }
    }

    fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        PROCESS.log_lines_dropped(lines);
    }
}

/// The context of each stream: the meaning of its lines so far for its next line.
#[derive(Default)]
struct Contexts(HashMap<(RunnerRef, bool), Context>);

impl Contexts {
    /// Streams that ended in the middle of an event. Beyond that number, all are forgotten.
    const MAX_STREAMS: usize = 1000;

    /// Reads a line, in the context of the lines before it on the same stream.
    fn read<'a>(
        &mut self,
        runner: RunnerRef,
        stream: OutputStream,
        line: &'a str,
    ) -> printed::Printed<'a> {
        let key = (runner, stream == OutputStream::Stderr);
        let context = self.0.remove(&key).unwrap_or_default();
        let (printed, next) = printed::read(line, context);
        if self.0.len() >= Self::MAX_STREAMS {
            self.0.clear();
        }
        if next != Context::None {
            self.0.insert(key, next);
        }
        printed
    }
}

fn print(stderr: &mut Vec<u8>, pool: &str, runner: RunnerRef, call: Option<CallId>, text: &str) {
    let line = match call {
        Some(call) => format!("[{pool} {runner} {call}] {text}\n"),
        None => format!("[{pool} {runner}] {text}\n"),
    };
    stderr.extend_from_slice(line.as_bytes());
}

fn level_of(level: message::Level) -> Level {
    match level {
        message::Level::Error => Level::ERROR,
        message::Level::Warn => Level::WARN,
        message::Level::Info => Level::INFO,
        message::Level::Debug => Level::DEBUG,
        message::Level::Trace => Level::TRACE,
    }
}

#[expect(clippy::disallowed_methods, reason = "a time for people, which nothing is decided by")]
fn now() -> SystemTime {
    SystemTime::now()
}
