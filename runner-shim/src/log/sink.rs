//! Where a log's records go: the runner of the moment.
//!
//! A process of its own is one runner, and its log has one way out. A Lambda environment is one
//! runner after the other, while the log is set once for the process: so who takes the records can
//! change, and what one runner's log has lost is not told to the next one's parent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use flame_wire::message::{Level, LogRecord};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Takes the records of a log, for whoever is attached; clones are the same sink. By default nobody
/// is, and records are dropped without a trace.
#[derive(Debug, Clone, Default)]
pub struct LogSink(Arc<LogSinkState>);

#[derive(Debug, Default)]
struct LogSinkState {
    to: RwLock<Option<Sender<LogRecord>>>,
    /// Records dropped since the parent was last told.
    dropped: AtomicU64,
}

impl From<Sender<LogRecord>> for LogSink {
    fn from(to: Sender<LogRecord>) -> Self {
        let sink = Self::default();
        sink.set(Some(to));
        sink
    }
}

impl LogSink {
    /// From now on records go to `to`, until what this gives is dropped.
    #[must_use = "dropped, it detaches"]
    pub fn attach(&self, to: Sender<LogRecord>) -> LogSinkGuard {
        self.set(Some(to));
        LogSinkGuard(self.clone())
    }

    fn set(&self, to: Option<Sender<LogRecord>>) {
        *self.0.to.write().unwrap_or_else(PoisonError::into_inner) = to;
        self.0.dropped.store(0, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn dropped_one(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn send(&self, record: LogRecord) {
        let to = self.0.to.read().unwrap_or_else(PoisonError::into_inner);
        let Some(to) = &*to else { return };
        let dropped = self.0.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && !self.offer(to, dropped_notice(dropped), dropped) {
            // The notice found no room: neither would this.
            self.dropped_one();
            return;
        }
        self.offer(to, record, 1);
    }

    /// Offers a record that stands for `worth` events. Once nobody listens, nothing is counted.
    fn offer(&self, to: &Sender<LogRecord>, record: LogRecord, worth: u64) -> bool {
        let full = matches!(to.try_send(record), Err(TrySendError::Full(_)));
        if full {
            self.0.dropped.fetch_add(worth, Ordering::Relaxed);
        }
        !full
    }
}

/// Detaches the log's taker when it is dropped.
#[derive(Debug)]
pub struct LogSinkGuard(LogSink);

impl Drop for LogSinkGuard {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

pub(super) fn dropped_notice(dropped: u64) -> LogRecord {
    LogRecord {
        call: None,
        level: Level::Warn,
        target: "flame_runner_shim::log".to_owned(),
        text: format!("{dropped} log records were dropped: the link did not keep up"),
    }
}
