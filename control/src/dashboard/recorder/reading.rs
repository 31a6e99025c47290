//! The state of a pool at one moment, as the recorder takes it.

use std::time::Instant;

use flame_wire::parent::HostKind;

use super::super::view::{MetricRow, MetricValue, PoolStage, RunnerRow};
use super::super::wording::console_link;
use crate::metrics::{self, MetricKind, Reading, ReadingValue, Unit};
use crate::pool::lane::Lane;
use crate::pool::{PoolInner, RunnerState, RunnerView, Snapshot, view};

/// Runners that the page shows of one pool.
const SHOWN_RUNNERS: usize = 200;

/// The state of a pool at one moment.
pub(in super::super) struct PoolReading {
    pub(super) name: String,
    pub(super) stage: PoolStage,
    pub(super) explanation: String,
    pub(super) cost: Option<String>,
    pub(super) snapshot: Snapshot,
    /// When `snapshot` was taken.
    pub(super) taken: Option<Instant>,
    pub(super) metrics: Vec<MetricRow>,
}

impl PoolReading {
    /// Before the first reading.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stage: PoolStage::Open,
            explanation: String::new(),
            cost: None,
            snapshot: Snapshot::default(),
            taken: None,
            metrics: Vec::new(),
        }
    }

    /// Reads a pool.
    pub(in super::super) fn of(pool: &PoolInner, now: Instant) -> Self {
        let is = |is: fn(&Lane) -> bool| pool.lanes().all(|lane| is(lane));
        let stage = if is(|lane| lane.read(|state| state.is_drained())) {
            PoolStage::Drained
        } else if is(|lane| lane.read(|state| state.is_draining())) {
            PoolStage::Draining
        } else {
            PoolStage::Open
        };
        let metrics = pool.lanes().enumerate().flat_map(|(index, lane)| {
            let (host, burst) = (lane.backend.kind(), index > 0);
            metrics::read_lane(lane)
                .into_iter()
                .filter_map(move |reading| row(reading, host, burst))
        });
        Self {
            name: pool.name().to_owned(),
            stage,
            explanation: view::explain(pool, now).to_string(),
            cost: Some(pool.costs())
                .filter(|costs| costs.total > 0.0)
                .map(|costs| costs.to_string()),
            snapshot: view::snapshot(pool, now),
            taken: Some(now),
            metrics: metrics.collect(),
        }
    }

    /// The pool no longer exists.
    pub(super) fn gone(&mut self) {
        if self.stage != PoolStage::Drained || !self.snapshot.runners.is_empty() {
            self.stage = PoolStage::Drained;
            self.snapshot = Snapshot::default();
            self.explanation = "the pool has ended".to_owned();
        }
    }

    /// The rows of the runners, and how many more there are.
    pub(super) fn runners(&self, unix_ms: impl Fn(Instant) -> f64) -> (Vec<RunnerRow>, usize) {
        let runners = &self.snapshot.runners;
        let rows = runners.iter().take(SHOWN_RUNNERS).map(|runner| {
            let began = self.taken.and_then(|taken| taken.checked_sub(runner.age));
            runner_row(runner, began.map(&unix_ms).unwrap_or_default())
        });
        (rows.collect(), runners.len().saturating_sub(SHOWN_RUNNERS))
    }
}

fn runner_row(runner: &RunnerView, since: f64) -> RunnerRow {
    let link = runner.instance.as_deref().and_then(|instance| console_link(runner.host, instance));
    RunnerRow {
        runner: runner.runner.to_string(),
        host: runner.host.to_string(),
        state: match runner.state {
            RunnerState::Booting => "booting",
            RunnerState::Up => "up",
            RunnerState::Retiring => "retiring",
            RunnerState::Draining => "draining",
            RunnerState::Stopping => "stopping",
        },
        leases: runner.leases,
        slots: runner.slots,
        calls_done: runner.calls_done,
        since,
        instance: runner.instance.clone(),
        link,
        pid: runner.pid,
    }
}

/// The row of a metric. Gauges have none: the snapshot has the same numbers. Nor has a series in
/// which nothing was counted.
fn row(reading: Reading, host: HostKind, burst: bool) -> Option<MetricRow> {
    let value = match reading.value {
        _ if reading.metric.kind == MetricKind::Gauge => return None,
        ReadingValue::Number(total) if total > 0.0 => MetricValue::Total { total },
        ReadingValue::Number(_) => return None,
        ReadingValue::Histogram(durations) => MetricValue::Durations {
            count: durations.count(),
            p50: durations.quantile(0.5)? * 1e3,
            p99: durations.quantile(0.99)? * 1e3,
        },
    };
    Some(MetricRow {
        name: reading.metric.name,
        attribute: reading.attribute,
        unit: match reading.metric.unit {
            Unit::Count => "",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Dollars => "USD",
        },
        host: host.to_string(),
        burst,
        value,
    })
}
