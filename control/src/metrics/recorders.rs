//! The atomic numbers into which metrics are recorded, so that counting takes no lock.

use std::marker::PhantomData;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flame_link::Traffic;
use flame_wire::sync::Mutex;

use super::attribute::{
    AttributeValue, BootFailureReason, BootPhase, CallOutcome, CallPhase, Direction, RefusedAt,
    RunnerExit,
};
use super::histogram::Histogram;
use crate::cost::{InstancePrice, Meter};

/// A counter for each value of an attribute.
pub(crate) struct Counters<A>(Box<[AtomicU64]>, PhantomData<A>);

impl<A: AttributeValue> Counters<A> {
    fn new() -> Self {
        let counters = A::ATTRIBUTE.values.iter().map(|_| AtomicU64::new(0));
        Self(counters.collect(), PhantomData)
    }

    pub(crate) fn add_one(&self, value: A) {
        self.add(value, 1);
    }

    pub(crate) fn add(&self, value: A, count: u64) {
        self.0[value.index()].fetch_add(count, Ordering::Relaxed);
    }

    /// The counts, in the order of the attribute's values.
    pub(crate) fn read(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// A histogram for each value of an attribute.
pub(crate) struct Histograms<A>(Box<[Histogram]>, PhantomData<A>);

impl<A: AttributeValue> Histograms<A> {
    fn new() -> Self {
        Self(A::ATTRIBUTE.values.iter().map(|_| Histogram::new()).collect(), PhantomData)
    }

    pub(crate) fn record(&self, value: A, duration: Duration) {
        self.0[value.index()].record(duration);
    }

    /// The histograms, in the order of the attribute's values.
    pub(super) fn read(&self) -> impl Iterator<Item = &Histogram> {
        self.0.iter()
    }
}

/// The counters and histograms of one lane of a pool. Gauges are not here: they are read from the
/// lane's state.
pub(crate) struct LaneRecorder {
    pub(crate) calls: Counters<CallOutcome>,
    pub(crate) call_duration: Histograms<CallPhase>,
    pub(crate) boot_duration: Histograms<BootPhase>,
    pub(crate) boot_failures: Counters<BootFailureReason>,
    pub(crate) runner_exits: Counters<RunnerExit>,
    /// The bytes of links whose runners are gone.
    past_bytes: Counters<Direction>,
    pub(super) reconnects: AtomicU64,
    pub(super) orphans_stopped: AtomicU64,
    pub(crate) cost: Mutex<Meter>,
}

impl LaneRecorder {
    pub(crate) fn new() -> Self {
        Self {
            calls: Counters::new(),
            call_duration: Histograms::new(),
            boot_duration: Histograms::new(),
            boot_failures: Counters::new(),
            runner_exits: Counters::new(),
            past_bytes: Counters::new(),
            reconnects: AtomicU64::new(0),
            orphans_stopped: AtomicU64::new(0),
            cost: Mutex::default(),
        }
    }

    /// The price of one instance.
    pub(crate) fn price(&self) -> InstancePrice {
        self.cost.lock().price()
    }

    /// The total cost in US dollars, the cost per hour, and the number of calls that were sent to a
    /// runner.
    pub(crate) fn costs(&self, now: Instant) -> (f64, f64, u64) {
        let calls = self.call_duration.0[CallPhase::Run.index()].read().count();
        let mut cost = self.cost.lock();
        (cost.total(now), cost.per_hour(), calls)
    }

    /// Adds the bytes of a link whose runner is gone.
    pub(crate) fn link_ended(&self, traffic: Traffic) {
        self.past_bytes.add(Direction::Sent, traffic.sent);
        self.past_bytes.add(Direction::Received, traffic.received);
    }

    /// The bytes of links whose runners are gone.
    pub(crate) fn past_traffic(&self) -> Traffic {
        let read =
            |direction: Direction| self.past_bytes.0[direction.index()].load(Ordering::Relaxed);
        Traffic { sent: read(Direction::Sent), received: read(Direction::Received) }
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn orphan_stopped(&self) {
        self.orphans_stopped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The counters that belong to no pool.
pub(crate) struct ProcessRecorder {
    pub(crate) refused_clients: Counters<RefusedAt>,
    /// Data points that sinks have dropped.
    pub(super) metrics_dropped: AtomicU64,
    /// Lines of runners that were dropped.
    pub(super) log_lines_dropped: AtomicU64,
}

impl ProcessRecorder {
    pub(crate) fn log_lines_dropped(&self, count: u64) {
        self.log_lines_dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn metrics_dropped(&self, count: u64) {
        self.metrics_dropped.fetch_add(count, Ordering::Relaxed);
    }
}

/// The recorder of this process.
pub(crate) static PROCESS: LazyLock<ProcessRecorder> = LazyLock::new(|| ProcessRecorder {
    refused_clients: Counters::new(),
    metrics_dropped: AtomicU64::new(0),
    log_lines_dropped: AtomicU64::new(0),
});
