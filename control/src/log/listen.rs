//! Listening to the log of a pool's runners.

use std::sync::Arc;
use std::time::SystemTime;

use flame_wire::ids::{CallId, RunnerRef};
use futures_core::Stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::Level;

use crate::backend::OutputStream;
use crate::pool::Lagged;
use crate::pool::call_info::CallInfo;

/// A line that a runner has logged or printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// The name of the runner's pool.
    pub pool: Arc<str>,
    /// The runner.
    pub runner: RunnerRef,
    /// The call, if it is known: that of a `tracing` event by its task or thread, that of a printed
    /// line only if its runner served a single call at that time.
    pub call: Option<CallId>,
    /// The level. That of a printed line is read from the line, and INFO if the line has none.
    pub level: Level,
    /// The target of a `tracing` event, which is its module by default. `None` for a printed line.
    pub target: Option<String>,
    /// The event's message, followed by its fields as `name=value`; or the printed line without its
    /// time, its level and its colours. At most 16 KiB of an event and 8 KiB of a line.
    pub text: String,
    /// The stream that the line was printed to; `None` for a `tracing` event.
    pub stream: Option<OutputStream>,
    /// When the parent received it.
    pub time: SystemTime,
}

/// The log records of a pool's runners, or of one call: see [`Pool::logs`](crate::Pool::logs),
/// [`Call::logs`](crate::Call::logs), [`CallStream::logs`](crate::CallStream::logs) and
/// [`Child::logs`](crate::Child::logs).
///
/// Events of one runner come in their order, and so do the lines of one stream. A listener that is
/// more than 1,024 records of the pool behind misses the oldest, and is told how many. Nobody waits
/// for a listener.
#[derive(Debug)]
#[must_use = "records are buffered for it"]
pub struct Logs {
    records: broadcast::Receiver<Arc<LogRecord>>,
    /// The call whose records these are; `None` for all records.
    call: Option<Arc<CallInfo>>,
}

impl Logs {
    pub(super) fn new(records: broadcast::Receiver<Arc<LogRecord>>) -> Self {
        Self { records, call: None }
    }

    /// Only the records of one call, which may not have been sent yet.
    pub(crate) fn of_call(self, call: Arc<CallInfo>) -> Self {
        Self { call: Some(call), ..self }
    }

    /// The next record; `None` when the pool is gone. Cancel-safe.
    ///
    /// # Errors
    /// [`Lagged`] if records were missed: the number is that of all records of the pool. The next
    /// call returns the oldest record that is left.
    pub async fn next(&mut self) -> Option<Result<LogRecord, Lagged>> {
        loop {
            match self.records.recv().await {
                Ok(record) if self.wants(&record) => {
                    return Some(Ok(Arc::unwrap_or_clone(record)));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => return Some(Err(Lagged(missed))),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The same records, as a stream for combinators.
    pub fn into_stream(self) -> impl Stream<Item = Result<LogRecord, Lagged>> + Send + 'static {
        futures_util::stream::unfold(self, async |mut logs| {
            let next = logs.next().await?;
            Some((next, logs))
        })
    }

    fn wants(&self, record: &LogRecord) -> bool {
        self.call.as_ref().is_none_or(|call| call.is(record.runner, record.call))
    }
}
