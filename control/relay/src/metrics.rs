//! The metrics of a relay, and their names.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `flame_relay_connections` | gauge | `kind`: `parent`, `runner`, `socket` |
//! | `flame_relay_handshakes` | gauge | |
//! | `flame_relay_registered_runners` | gauge | |
//! | `flame_relay_draining` | gauge | |
//! | `flame_relay_bytes_total` | counter | `to`: `parent`, `runner` |
//! | `flame_relay_pairs_total` | counter | |
//! | `flame_relay_pairs_ended_total` | counter | `reason` |
//! | `flame_relay_refusals_total` | counter | `reason` |
//! | `flame_relay_handshakes_failed_total` | counter | `reason`: `tls`, `http`, `timeout`, `evicted` |
//! | `flame_relay_pairing_seconds` | histogram | |
//!
//! No label has a value that a client chooses, so the number of series is bounded.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram, with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

use crate::core::{ConnectionKind, RelayState};
use crate::pair::Peer;
use crate::totals::{Reasons, Totals};

const CONNECTIONS: &str = "flame_relay_connections";
const HANDSHAKES: &str = "flame_relay_handshakes";
const REGISTERED_RUNNERS: &str = "flame_relay_registered_runners";
const DRAINING: &str = "flame_relay_draining";
const BYTES: &str = "flame_relay_bytes_total";
const PAIRS: &str = "flame_relay_pairs_total";
const PAIRS_ENDED: &str = "flame_relay_pairs_ended_total";
const REFUSALS: &str = "flame_relay_refusals_total";
const HANDSHAKES_FAILED: &str = "flame_relay_handshakes_failed_total";
const PAIRING_SECONDS: &str = "flame_relay_pairing_seconds";

/// The upper bounds of the histogram of the time to pair, in seconds.
const PAIRING_BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The metrics of one relay. Not those of the process: a test may have several relays.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handles: Handles,
    totals: Arc<Totals>,
}

/// The metrics that exist from the start.
struct Handles {
    connections: [(ConnectionKind, Gauge); 3],
    handshakes: Gauge,
    registered_runners: Gauge,
    draining: Gauge,
    pairs: Counter,
    pairing_seconds: Histogram,
    bytes: [(Peer, Counter); 2],
}

impl Handles {
    fn register() -> Self {
        let kind = |kind, name: &'static str| (kind, gauge!(CONNECTIONS, "kind" => name));
        Self {
            connections: [
                kind(ConnectionKind::Parent, "parent"),
                kind(ConnectionKind::Runner, "runner"),
                kind(ConnectionKind::Socket, "socket"),
            ],
            handshakes: gauge!(HANDSHAKES),
            registered_runners: gauge!(REGISTERED_RUNNERS),
            draining: gauge!(DRAINING),
            pairs: counter!(PAIRS),
            pairing_seconds: histogram!(PAIRING_SECONDS),
            bytes: [
                (Peer::Parent, counter!(BYTES, "to" => "parent")),
                (Peer::Runner, counter!(BYTES, "to" => "runner")),
            ],
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let buckets = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(PAIRING_SECONDS.to_owned()), &PAIRING_BUCKETS)?;
        let recorder = buckets.build_recorder();
        with_local_recorder(&recorder, describe);
        let handles = with_local_recorder(&recorder, Handles::register);
        Ok(Self { recorder, handles, totals: Arc::default() })
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn render(&self, state: &RelayState, handshakes: usize) -> String {
        for (kind, gauge) in &self.handles.connections {
            gauge.set(as_f64(state.count(*kind)));
        }
        self.handles.handshakes.set(as_f64(handshakes));
        self.handles.registered_runners.set(as_f64(state.registered()));
        self.handles.draining.set(f64::from(u8::from(state.is_draining())));
        self.handles.pairs.absolute(self.totals.pairs.load(Ordering::Relaxed));
        for (receiver, counter) in &self.handles.bytes {
            counter.absolute(self.totals.bytes.to(*receiver));
        }
        self.set_reasons(PAIRS_ENDED, &self.totals.pairs_ended);
        self.set_reasons(REFUSALS, &self.totals.refusals);
        self.set_reasons(HANDSHAKES_FAILED, &self.totals.handshakes_failed);
        self.recorder.handle().render()
    }

    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Bounds the memory of the histogram while nobody reads it. To be called every few seconds.
    pub(crate) fn run_upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }

    pub(crate) fn paired(&self, waited: Duration) {
        self.totals.pairs.fetch_add(1, Ordering::Relaxed);
        self.handles.pairing_seconds.record(waited.as_secs_f64());
    }

    pub(crate) fn pair_ended(&self, reason: &'static str) {
        self.totals.pairs_ended.add(reason);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.totals.refusals.add(reason);
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.totals.handshakes_failed.add(reason);
    }

    fn set_reasons(&self, name: &'static str, reasons: &Reasons) {
        with_local_recorder(&self.recorder, || {
            for (reason, count) in reasons.all() {
                counter!(name, "reason" => reason).absolute(count);
            }
        });
    }
}

/// The help texts of `/metrics`.
fn describe() {
    for (gauge, help) in [
        (CONNECTIONS, "Open connections, by kind of client"),
        (HANDSHAKES, "Connections whose request is not admitted yet"),
        (REGISTERED_RUNNERS, "Runners that parents have registered"),
        (DRAINING, "1 while the relay drains, 0 before"),
    ] {
        describe_gauge!(gauge, Unit::Count, help);
    }
    describe_counter!(BYTES, Unit::Bytes, "Bytes of the messages that were forwarded, by receiver");
    for (counter, help) in [
        (PAIRS, "Runners that were paired with a socket of their parent"),
        (PAIRS_ENDED, "Pairs that have ended, by reason"),
        (REFUSALS, "Requests that were answered with an error, by reason"),
        (HANDSHAKES_FAILED, "Connections that sent no valid request, by reason"),
    ] {
        describe_counter!(counter, Unit::Count, help);
    }
    let help = "Time from a runner's request until its parent has opened a socket for it";
    describe_histogram!(PAIRING_SECONDS, Unit::Seconds, help);
}

#[expect(clippy::cast_precision_loss, reason = "no relay has 2^52 connections")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::keys::KeyTexts;

    #[test]
    fn each_metric_has_a_help_text() {
        let metrics = Metrics::new().unwrap();
        metrics.paired(Duration::from_millis(3));
        metrics.pair_ended("closed");
        metrics.refused("draining");
        metrics.handshake_failed("tls");
        let config = Config::new(([127, 0, 0, 1], 0).into(), KeyTexts::none());
        let text = metrics.render(&RelayState::new(config.limits), 0);
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(types.len(), 10, "{text}");
        for line in types {
            let name = line.split(' ').next().unwrap();
            assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help text:\n{text}");
        }
    }
}
