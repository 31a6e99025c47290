//! The destination of log records: the runner that is currently attached.
//!
//! A process that is one runner has one destination for its log. A Lambda environment is several
//! runners in turn, while the log is installed once for the process. So the destination can change,
//! and the records that one runner's log has dropped are not reported to the next runner's parent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flame_wire::message::{Level, LogMessage};
use flame_wire::sync::RwLock;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Passes log records on to the attached channel; clones share it. Without one, which is the
/// default, records are dropped and not counted.
#[derive(Debug, Clone, Default)]
pub struct LogSink(Arc<LogSinkState>);

#[derive(Debug, Default)]
struct LogSinkState {
    to: RwLock<Option<Sender<LogMessage>>>,
    /// Records dropped since the last report to the parent.
    dropped: AtomicU64,
}

impl From<Sender<LogMessage>> for LogSink {
    fn from(to: Sender<LogMessage>) -> Self {
        let sink = Self::default();
        sink.set(Some(to));
        sink
    }
}

impl LogSink {
    /// Sends records to `to` until the guard is dropped.
    #[must_use = "dropping the guard detaches the channel"]
    pub fn attach(&self, to: Sender<LogMessage>) -> LogSinkGuard {
        self.set(Some(to));
        LogSinkGuard(self.clone())
    }

    fn set(&self, to: Option<Sender<LogMessage>>) {
        *self.0.to.write() = to;
        self.0.dropped.store(0, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn dropped_one(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn send(&self, record: LogMessage) {
        let to = self.0.to.read();
        let Some(to) = &*to else { return };
        let dropped = self.0.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && !self.offer(to, dropped_notice(dropped), dropped) {
            // There was no room for the notice, so there is none for this record.
            self.dropped_one();
            return;
        }
        self.offer(to, record, 1);
    }

    /// Offers a record that stands for `worth` events. If the receiver is gone, nothing is counted.
    fn offer(&self, to: &Sender<LogMessage>, record: LogMessage, worth: u64) -> bool {
        let full = matches!(to.try_send(record), Err(TrySendError::Full(_)));
        if full {
            self.0.dropped.fetch_add(worth, Ordering::Relaxed);
        }
        !full
    }
}

/// Detaches the channel when it is dropped.
#[derive(Debug)]
pub struct LogSinkGuard(LogSink);

impl Drop for LogSinkGuard {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

pub(super) fn dropped_notice(dropped: u64) -> LogMessage {
    LogMessage {
        call: None,
        level: Level::Warn,
        target: "flame_runner_shim::log".to_owned(),
        text: format!("{dropped} log records were dropped: the link did not keep up"),
        dropped,
    }
}
