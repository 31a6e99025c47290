//! Sends a runner's `tracing` events to its parent's log.
//!
//! ```text
//!   tracing event ─▶ RunnerLog: level, call id, text ─▶ LogSink ─ try_send ─▶ bounded channel ─▶ link
//!                                                        full: counted, and reported with the next record
//! ```
//!
//! # Invariants
//!
//! * Logging never waits: a record that finds no room is dropped and counted, and the count is
//!   logged as soon as there is room again.
//! * No feedback: what the link and this crate log about their own work (DEBUG and below) is not
//!   sent over that link, and an event that is emitted while another is being recorded is dropped.
//! * A record is bounded: an event whose value writes without end costs one record of the maximum
//!   length.
//!
//! A call's events are those of its own task or blocking thread: see [`CallContext`]. An event of a
//! task that the function has spawned has no call id.

use std::cell::Cell;

use flame_wire::message::{Level, LogMessage, MAX_LOG_TEXT};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use self::text::EventText;
use crate::context::CallContext;

mod sink;
#[cfg(test)]
mod tests;
mod text;

pub use sink::{LogSink, LogSinkGuard};

/// The variable that sets the lowest level that is sent: `error`, `warn`, `info`, `debug`, `trace`
/// or `off`. Default: `info`.
pub const ENV: &str = "FLAME_LOG";

/// Crates that log at DEBUG and TRACE while they send records.
const TRANSPORT_CRATES: [&str; 9] = [
    "flame_link",
    "flame_runner_shim",
    "flame_wire",
    "mio",
    "rustls",
    "tokio",
    "tokio_rustls",
    "tokio_tungstenite",
    "tungstenite",
];

/// The value of [`ENV`] is not a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("FLAME_LOG={0:?} is not a level; use error, warn, info, debug, trace or off")]
pub struct LogLevelError(String);

/// The level that [`ENV`] sets.
///
/// # Errors
///
/// [`LogLevelError`] names the valid levels.
pub fn level_from_env() -> Result<LevelFilter, LogLevelError> {
    std::env::var_os(ENV).map_or(Ok(LevelFilter::INFO), |name| level(&name.to_string_lossy()))
}

fn level(name: &str) -> Result<LevelFilter, LogLevelError> {
    if name.is_empty() {
        return Ok(LevelFilter::INFO);
    }
    // `LevelFilter` would also parse numbers, whose order is not obvious.
    let bad = || LogLevelError(name.to_owned());
    if !name.chars().all(char::is_alphabetic) {
        return Err(bad());
    }
    name.parse().map_err(|_| bad())
}

/// Sends this process's events to `sink` if the app has not set a subscriber. Returns whether it
/// was installed. The level is that of [`ENV`]; an invalid one means INFO, and a warning is logged.
///
/// An app's own subscriber is left alone: what it prints reaches the parent as the process's
/// output.
pub fn install_if_unset(sink: impl Into<LogSink>) -> bool {
    if tracing::dispatcher::has_been_set() {
        return false;
    }
    let subscriber = tracing_subscriber::registry().with(layer(sink));
    // Another thread may have set a subscriber in the meantime.
    let installed = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let (true, Err(error)) = (installed, level_from_env()) {
        tracing::warn!("{error}; info is used instead");
    }
    installed
}

/// The layer that sends this process's events to `sink`, at the level of [`ENV`]. An invalid level
/// means INFO.
pub fn layer<S>(sink: impl Into<LogSink>) -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    RunnerLog::new(sink).with_filter(level_from_env().unwrap_or(LevelFilter::INFO))
}

/// The layer that turns events into records; see the module's documentation. It filters no levels:
/// use [`Layer::with_filter`].
#[derive(Debug)]
pub struct RunnerLog {
    sink: LogSink,
}

impl RunnerLog {
    /// A layer that sends its records to `sink`, whose capacity limits how many may wait for the
    /// link.
    #[must_use]
    pub fn new(sink: impl Into<LogSink>) -> Self {
        Self { sink: sink.into() }
    }

    /// The number of dropped records that the parent has not been told of yet.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}

impl<S: Subscriber> Layer<S> for RunnerLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() >= tracing::Level::DEBUG && is_transport(metadata.target()) {
            return;
        }
        let Some(_writing) = RecursionGuard::begin() else {
            self.sink.dropped_one();
            return;
        };
        let mut text = EventText::new(MAX_LOG_TEXT);
        event.record(&mut text);
        self.sink.send(LogMessage {
            call: CallContext::current().map(|context| context.call.0),
            level: wire_level(*metadata.level()),
            target: metadata.target().to_owned(),
            text: text.finish(),
            dropped: 0,
        });
    }
}

/// Exists while this thread records an event.
struct RecursionGuard;

impl RecursionGuard {
    fn begin() -> Option<Self> {
        // A thread that is being torn down logs nothing.
        let first = RECORDING.try_with(|writing| !writing.replace(true)).unwrap_or(false);
        first.then_some(Self)
    }
}

impl Drop for RecursionGuard {
    fn drop(&mut self) {
        let _ = RECORDING.try_with(|writing| writing.set(false));
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
}

fn is_transport(target: &str) -> bool {
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    TRANSPORT_CRATES.contains(&name)
}

fn wire_level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}
