//! Writes this process's log from a thread of its own.
//!
//! A log's reader may be slow, or may have stopped reading, and a full pipe blocks its writer. So
//! tasks, and threads with other work, neither write to standard error nor call the app's `tracing`
//! subscriber with lines of runners. They push each line into a bounded queue, and the thread
//! `flame-log` writes it. The first line starts that thread.
//!
//! ```text
//!  push ──▶ LineQueue (bounded in bytes, pure) ──▶ flame-log ──▶ standard error, or the subscriber
//!   │          │ full: drops and counts lines       │
//!   │          └─ high: room() waits ≤ 1 s ◀────────┘ reports progress
//!   └ never waits                                flush() waits for it
//! ```
//!
//! # Invariants
//!
//! * [`LogWriter::push`] never waits for the destination.
//! * Lines are written in the order in which they were pushed.
//! * Dropped lines are counted, and the count is written in their place.
//! * The process can exit while the thread is blocked: nothing joins it.

use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, LazyLock, PoisonError};
use std::time::{Duration, Instant};

use flame_wire::sync::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use self::queue::{LineQueue, QueuedItem};

mod queue;
#[cfg(test)]
mod tests;

/// The longest that the reader of a runner's output waits for the log at a time. Then it pushes its
/// lines regardless, and a full queue drops them.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// The time without a written line after which [`LogWriter::flush`] gives up.
const FLUSH_STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// The total time after which [`LogWriter::flush`] gives up.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines share a write of up to this many bytes. POSIX guarantees that a write of up to 4096 bytes
/// (Linux's PIPE_BUF) to a pipe is not mixed with the writes of other processes.
const MAX_WRITE: usize = 4096;
/// The pause before another attempt to write to a destination that is not ready.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Writes one line: appends to the text for standard error, or calls the subscriber. It runs on the
/// log's thread, and may block.
pub type Line = Box<dyn FnOnce(&mut Vec<u8>) + Send>;

/// Writes the notice that this many lines were dropped.
pub type DropNotice = fn(u64, &mut Vec<u8>);

/// A log: its queue, and the thread that writes it.
pub struct LogWriter {
    shared: Arc<LogShared>,
}

struct LogShared {
    state: Mutex<LogState>,
    /// The queue has something to write.
    filled: Condvar,
    /// A line was written.
    written: Condvar,
    /// The queue is below its high mark again.
    low: Notify,
    notice: DropNotice,
}

struct LogState {
    queue: LineQueue<Line>,
    /// When a line was last written, or pushed into an empty queue.
    progress: Instant,
    /// `None` once the thread has been started.
    destination: Option<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").finish_non_exhaustive()
    }
}

/// This process's log, on its standard error.
pub fn global() -> &'static LogWriter {
    static LOG: LazyLock<LogWriter> =
        LazyLock::new(|| LogWriter::new(Box::new(std::io::stderr()), write_notice));
    &LOG
}

/// Prints a line of this library to standard error.
pub fn print_line(line: impl Into<String>) {
    let line = line.into();
    global().push(line.len(), move |stderr| {
        stderr.extend_from_slice(line.as_bytes());
        stderr.push(b'\n');
    });
}

/// Emits an event of this library. `emit` is called on the log's thread, with the caller's
/// subscriber and in the caller's span. So a subscriber that blocks can't block a task or the
/// holder of a lock.
pub fn event(emit: impl FnOnce() + Send + 'static) {
    if !tracing::dispatcher::has_been_set() {
        return;
    }
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let span = tracing::Span::current();
    global().push(0, move |_| tracing::dispatcher::with_default(&dispatch, || span.in_scope(emit)));
}

/// Whether events of the calling thread reach a `tracing` subscriber. On the log's thread, only the
/// global subscriber counts.
#[must_use]
pub fn has_subscriber() -> bool {
    use tracing::subscriber::NoSubscriber;
    tracing::dispatcher::has_been_set()
        && tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}

fn write_notice(dropped: u64, stderr: &mut Vec<u8>) {
    let what = format!("{dropped} lines of runners were dropped:");
    if has_subscriber() {
        tracing::warn!(
            target: "flame::runner",
            dropped,
            "{what} the log's subscriber is too slow"
        );
    } else {
        let why = "the reader of standard error is too slow";
        stderr.extend_from_slice(format!("flame-aws: {what} {why}\n").as_bytes());
    }
}

impl LogWriter {
    /// A log that writes to `destination`. The first line starts its thread.
    #[must_use]
    pub fn new(destination: Box<dyn Write + Send>, notice: DropNotice) -> Self {
        Self {
            shared: Arc::new(LogShared {
                state: Mutex::new(LogState {
                    queue: LineQueue::new(),
                    progress: now(),
                    destination: Some(destination),
                }),
                filled: Condvar::new(),
                written: Condvar::new(),
                low: Notify::new(),
                notice,
            }),
        }
    }

    /// Queues a line; if the queue is full, drops and counts it, and returns `false`. `len` is the
    /// length of its text in bytes, by which the queue is bounded. Never waits.
    pub fn push(&self, len: usize, line: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> bool {
        let mut state = self.shared.lock();
        if state.queue.is_done() {
            state.progress = now();
        }
        let queued = state.queue.push(len, Box::new(line));
        if state.destination.is_some() {
            self.start(&mut state);
        }
        drop(state);
        self.shared.filled.notify_one();
        queued
    }

    /// If no thread can be started, the lines stay queued, and the next push tries again.
    fn start(&self, state: &mut LogState) {
        let shared = self.shared.clone();
        let (give, take) = std::sync::mpsc::channel();
        let run = move || {
            if let Ok(destination) = take.recv() {
                shared.run(destination);
            }
        };
        let started = std::thread::Builder::new().name("flame-log".to_owned()).spawn(run);
        if started.is_ok()
            && let Some(destination) = state.destination.take()
        {
            // The thread is waiting for it.
            let _ = give.send(destination);
        }
    }

    /// Waits for room in the queue. For callers that can wait, such as the reader of a child's
    /// output. Returns at once unless many lines are queued. Otherwise waits until about half of
    /// them are written, but at most one second. After such a timeout, no call waits again until
    /// those lines have been written. Cancel-safe.
    pub async fn room(&self) {
        let low = self.shared.low.notified();
        tokio::pin!(low);
        low.as_mut().enable();
        if !self.shared.lock().queue.is_high() {
            return;
        }
        if timeout(ROOM_TIMEOUT, low).await.is_err() {
            self.shared.lock().queue.note_wait_timeout();
            self.shared.low.notify_waiters();
        }
    }

    /// Waits until all lines queued so far are written. Gives up when nothing has been written for
    /// one second, or after five seconds in all. Needs no runtime. Cancel-safe.
    pub async fn flush(&self) {
        let all = {
            let mut state = self.shared.lock();
            let all = state.queue.flush_target();
            if state.queue.is_done() || state.destination.is_some() {
                return;
            }
            all
        };
        self.shared.filled.notify_one();
        let shared = self.shared.clone();
        let (done, flushed) = oneshot::channel();
        let wait = move || {
            shared.wait_until_written(all);
            let _ = done.send(());
        };
        // If no thread can be started to wait on, this returns at once.
        if std::thread::Builder::new().name("flame-flush".to_owned()).spawn(wait).is_ok() {
            let _ = flushed.await;
        }
    }
}

impl LogShared {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock()
    }

    fn run(&self, mut destination: Box<dyn Write + Send>) {
        let mut text = Vec::new();
        let mut unwritten = 0;
        loop {
            let (item, is_low) = {
                let mut state = self.lock();
                while state.queue.is_empty() && unwritten == 0 {
                    state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                (state.queue.take(), state.queue.has_become_low())
            };
            if is_low {
                self.low.notify_waiters();
            }
            let idle = item.is_none();
            if let Some(item) = item {
                let before = text.len();
                self.line(item, &mut text);
                unwritten += 1;
                if text.len() > MAX_WRITE && before > 0 {
                    write_all(&mut destination, text.get(..before).unwrap_or_default());
                    text.drain(..before);
                    self.note(unwritten - 1);
                    unwritten = 1;
                }
            }
            // A line without text was an event, which the subscriber has received.
            if idle || text.is_empty() || text.len() >= MAX_WRITE {
                write_all(&mut destination, &text);
                text.clear();
                self.note(unwritten);
                unwritten = 0;
            }
        }
    }

    fn line(&self, item: QueuedItem<Line>, text: &mut Vec<u8>) {
        // The app's subscriber may panic. Then only its line is lost.
        let _ = catch_unwind(AssertUnwindSafe(|| match item {
            QueuedItem::Line(line) => line(text),
            QueuedItem::Dropped(count) => (self.notice)(count, text),
        }));
    }

    fn note(&self, written: u64) {
        let mut state = self.lock();
        state.queue.note_written(written);
        state.progress = now();
        drop(state);
        self.written.notify_all();
    }

    fn wait_until_written(&self, all: u64) {
        let end = now() + FLUSH_TIMEOUT;
        let mut state = self.lock();
        while state.queue.written() < all {
            let left =
                end.min(state.progress + FLUSH_STALL_TIMEOUT).saturating_duration_since(now());
            if left.is_zero() {
                return;
            }
            let waited = self.written.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of threads that no runtime drives")]
fn now() -> Instant {
    Instant::now()
}

/// Makes one call of `write` if the destination takes all of the text. If the destination fails,
/// the text is dropped: there is no other log to report it to.
fn write_all(destination: &mut impl Write, mut text: &[u8]) {
    while !text.is_empty() {
        match destination.write(text) {
            Ok(0) => return,
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                // Standard error may have been made non-blocking by a process that shares it.
                ErrorKind::WouldBlock => std::thread::sleep(RETRY_PAUSE),
                _ => return,
            },
        }
    }
}
