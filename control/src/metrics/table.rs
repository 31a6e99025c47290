//! The table of all metrics.

use super::attribute::{
    Attribute, AttributeValue, BootFailureReason, BootPhase, CallOutcome, CallPhase, Direction,
    RefusedAt, RunnerActivity, RunnerExit,
};

/// A metric: one row of [`METRICS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, in the style of OpenTelemetry's semantic conventions.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: MetricKind,
    /// The unit of its values.
    pub unit: Unit,
    /// The attribute that tells its series apart, if it has several.
    pub attribute: Option<Attribute>,
    /// Whether each backend of each pool has its series, or the process.
    pub scope: Scope,
    /// Its meaning, in a sentence.
    pub meaning: &'static str,
}

/// How the values of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// A sum that only grows.
    Counter,
    /// A value at one moment.
    Gauge,
    /// A distribution of values.
    Histogram,
}

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// US dollars.
    Dollars,
}

/// Whether a metric has series for each backend of each pool, or for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Each backend of each pool has a series of its own.
    Pool,
    /// The process has one series. For example, a client that is refused belongs to no pool.
    Process,
}

/// Every metric that a parent has.
pub const METRICS: [&Metric; 15] = [
    &RUNNERS,
    &LEASES,
    &QUEUE_LENGTH,
    &CALLS,
    &CALL_DURATION,
    &BOOT_DURATION,
    &BOOT_FAILURES,
    &RUNNER_EXITS,
    &RECONNECTS,
    &ORPHANS_STOPPED,
    &LINK_BYTES,
    &COST,
    &REFUSED_CLIENTS,
    &LOG_LINES_DROPPED,
    &METRICS_DROPPED,
];

pub(crate) const RUNNERS: Metric = Metric {
    name: "flame.runners",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    attribute: Some(RunnerActivity::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "Runners, by state. All states together are the instances that exist.",
};

pub(crate) const LEASES: Metric = Metric {
    name: "flame.leases",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Pool,
    meaning: "Slots of runners that are in use.",
};

pub(crate) const QUEUE_LENGTH: Metric = Metric {
    name: "flame.queue.length",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Pool,
    meaning: "Calls that wait for a slot.",
};

pub(crate) const CALLS: Metric = Metric {
    name: "flame.calls",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: Some(CallOutcome::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "Calls that have ended, by outcome. A call whose arguments can't be encoded is not \
              counted.",
};

pub(crate) const CALL_DURATION: Metric = Metric {
    name: "flame.call.duration",
    kind: MetricKind::Histogram,
    unit: Unit::Seconds,
    attribute: Some(CallPhase::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "The time of calls, by phase. `queue` includes the boot that a call waited for.",
};

pub(crate) const BOOT_DURATION: Metric = Metric {
    name: "flame.boot.duration",
    kind: MetricKind::Histogram,
    unit: Unit::Seconds,
    attribute: Some(BootPhase::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "The time of boots that succeeded, by phase. A backend that does not know a phase \
              counts its time in the next one that it knows.",
};

pub(crate) const BOOT_FAILURES: Metric = Metric {
    name: "flame.boot.failures",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: Some(BootFailureReason::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "Boots that failed, by reason.",
};

pub(crate) const RUNNER_EXITS: Metric = Metric {
    name: "flame.runner.exits",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: Some(RunnerExit::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "Runners that had come up and have ended, by reason.",
};

pub(crate) const RECONNECTS: Metric = Metric {
    name: "flame.runner.reconnects",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Pool,
    meaning: "Links that were resumed on a new socket.",
};

pub(crate) const ORPHANS_STOPPED: Metric = Metric {
    name: "flame.orphans.stopped",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Pool,
    meaning: "Instances of other parents that the pool's backend has stopped, because their \
              parent was gone.",
};

pub(crate) const LINK_BYTES: Metric = Metric {
    name: "flame.link.bytes",
    kind: MetricKind::Counter,
    unit: Unit::Bytes,
    attribute: Some(Direction::ATTRIBUTE),
    scope: Scope::Pool,
    meaning: "Bytes of the links with runners, before encryption, by direction.",
};

pub(crate) const COST: Metric = Metric {
    name: "flame.cost.estimated",
    kind: MetricKind::Counter,
    unit: Unit::Dollars,
    attribute: None,
    scope: Scope::Pool,
    meaning: "Estimated cost of the instances, from the public prices; see the module `cost`.",
};

pub(crate) const REFUSED_CLIENTS: Metric = Metric {
    name: "flame.listener.refusals",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: Some(RefusedAt::ATTRIBUTE),
    scope: Scope::Process,
    meaning: "Clients that connected and were not admitted as a runner, by the step at which they \
              failed.",
};

pub(crate) const LOG_LINES_DROPPED: Metric = Metric {
    name: "flame.log.dropped",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Process,
    meaning: "Lines of runners that were dropped, because their links or the log did not keep up.",
};

pub(crate) const METRICS_DROPPED: Metric = Metric {
    name: "flame.metrics.dropped",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    attribute: None,
    scope: Scope::Process,
    meaning: "Data points that the process's sinks of metrics have dropped: they were rejected, or \
              could not be sent for so long that the sink's memory was full.",
};
