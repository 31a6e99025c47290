//! The JSON of a pool that the server sends to the page.
//!
//! A moment is in milliseconds since the Unix epoch, and a duration in milliseconds.

use serde::Serialize;

/// One pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PoolView {
    pub(super) name: String,
    pub(super) stage: PoolStage,
    /// Why the pool grows or does not, in words.
    pub(super) explanation: String,
    /// The estimated costs of the pool, in words. `None` if its backends cost nothing.
    pub(super) cost: Option<String>,
    pub(super) up: u32,
    pub(super) booting: u32,
    pub(super) queued: usize,
    /// Slots in use.
    pub(super) leased: usize,
    /// Free slots.
    pub(super) free: u64,
    pub(super) runners: Vec<RunnerRow>,
    /// The number of runners that are not in `runners`, because there are too many.
    pub(super) more_runners: usize,
    /// Calls that wait or run, the oldest first.
    pub(super) calls: Vec<LiveCallRow>,
    /// The last calls that have ended, the latest first.
    pub(super) finished: Vec<FinishedCallRow>,
    /// The latest first.
    pub(super) events: Vec<EventRow>,
    /// The latest first.
    pub(super) errors: Vec<ErrorRow>,
    pub(super) metrics: Vec<MetricRow>,
    /// The number of events that the recorder has missed.
    pub(super) missed_events: u64,
}

/// Whether a pool takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PoolStage {
    Open,
    Draining,
    /// No runner is left.
    Drained,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RunnerRow {
    pub(super) runner: String,
    pub(super) host: String,
    pub(super) state: &'static str,
    pub(super) leases: u32,
    pub(super) slots: u32,
    pub(super) calls_done: u64,
    /// When its boot began.
    pub(super) since: f64,
    pub(super) instance: Option<String>,
    /// The page of the instance in the platform's console.
    pub(super) link: Option<String>,
    pub(super) pid: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LiveCallRow {
    /// Unique within the pool. The row of the finished call has the same id.
    pub(super) id: String,
    pub(super) trace: String,
    pub(super) function: &'static str,
    /// `None` while the call waits.
    pub(super) runner: Option<String>,
    pub(super) since: f64,
    /// When the call was sent to the runner.
    pub(super) started: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FinishedCallRow {
    pub(super) id: String,
    pub(super) trace: String,
    pub(super) function: &'static str,
    pub(super) runner: Option<String>,
    pub(super) outcome: &'static str,
    pub(super) start: f64,
    /// The time in the queue, without `boot`.
    pub(super) queue: f64,
    /// The part of the wait in which the call's own runner was booting.
    pub(super) boot: f64,
    pub(super) run: f64,
    pub(super) reply: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct EventRow {
    /// Unique within the pool.
    pub(super) id: u64,
    pub(super) at: f64,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ErrorRow {
    /// Unique within the pool.
    pub(super) id: u64,
    /// When it happened last.
    pub(super) at: f64,
    pub(super) title: String,
    pub(super) message: String,
    /// The last lines that the runner printed, the oldest first.
    pub(super) log_tail: Vec<String>,
    /// How often it happened in a row.
    pub(super) times: u64,
}

/// One series of the table of metrics that is a counter or a histogram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct MetricRow {
    pub(super) name: &'static str,
    pub(super) attribute: Option<&'static str>,
    pub(super) unit: &'static str,
    pub(super) host: String,
    /// Whether it belongs to the pool's burst backend.
    pub(super) burst: bool,
    #[serde(flatten)]
    pub(super) value: MetricValue,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum MetricValue {
    Total {
        total: f64,
    },
    /// Of durations, in milliseconds.
    Durations {
        count: u64,
        p50: f64,
        p99: f64,
    },
}
