//! The table's rows: each figure, its baseline and its target.

use std::fmt;

/// A figure, by the key under which it is measured.
pub(super) struct Row {
    pub(super) key: &'static str,
    /// The key of its baseline, which was measured in alternation with it.
    pub(super) baseline: Option<&'static str>,
    pub(super) target: Target,
}

/// The value that a figure should have.
#[derive(Clone, Copy)]
pub(super) enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
    /// At most this many times its baseline.
    TimesBaseline(f64),
    /// At most its baseline plus this.
    OverBaseline(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
            Self::TimesBaseline(times) => write!(f, "<= {times} x baseline"),
            Self::OverBaseline(more) => write!(f, "<= baseline + {more}"),
        }
    }
}

const fn row(key: &'static str, target: Target) -> Row {
    Row { key, baseline: None, target }
}

const fn beside(baseline: &'static str, key: &'static str, target: Target) -> Row {
    Row { key, baseline: Some(baseline), target }
}

use Target::{AtLeast, AtMost, None as NoTarget, OverBaseline, TimesBaseline};

pub(super) const ROWS: &[Row] = &[
    beside("ws_baseline_p50_us", "warm_call_p50_us", TimesBaseline(1.4)),
    beside("ws_baseline_p99_us", "warm_call_p99_us", NoTarget),
    beside("ws_baseline_p50_us_one_core", "warm_call_p50_us_one_core", TimesBaseline(2.0)),
    beside("ws_baseline_p99_us_one_core", "warm_call_p99_us_one_core", NoTarget),
    beside("unobserved_call_p50_us", "observed_call_p50_us", TimesBaseline(1.1)),
    beside("unobserved_call_p50_us_one_core", "observed_call_p50_us_one_core", TimesBaseline(1.1)),
    beside("awaited_here_p50_us", "local_call_p50_us", NoTarget),
    row("warm_call_cpu_us_parent", NoTarget),
    row("warm_call_cpu_us_runner", NoTarget),
    beside("ws_baseline_cpu_us", "warm_call_cpu_us", AtMost(45.0)),
    row("warm_call_cpu_us_parent_one_core", NoTarget),
    row("warm_call_cpu_us_runner_one_core", NoTarget),
    beside("ws_baseline_cpu_us_one_core", "warm_call_cpu_us_one_core", AtMost(45.0)),
    beside("ws_baseline_per_s_1", "calls_per_s_1", NoTarget),
    beside("ws_baseline_per_s_10", "calls_per_s_10", NoTarget),
    beside("ws_baseline_per_s_100", "calls_per_s_100", AtLeast(100_000.0)),
    beside("ws_baseline_per_s_1000", "calls_per_s_1000", NoTarget),
    row("calls_per_s_1_runners_4", NoTarget),
    row("calls_per_s_10_runners_4", NoTarget),
    row("calls_per_s_100_runners_4", AtLeast(120_000.0)),
    row("calls_per_s_1000_runners_4", NoTarget),
    beside("tls_baseline_64KiB_us", "echo_64KiB_us", TimesBaseline(1.3)),
    beside("tls_baseline_1MiB_us", "echo_1MiB_us", TimesBaseline(1.3)),
    beside("tls_baseline_16MiB_us", "echo_16MiB_us", TimesBaseline(1.3)),
    beside("small_call_p99_us_alone", "small_call_p99_us_beside_64MiB", AtMost(1_000.0)),
    beside("bare_start_ms", "cold_boot_ms", OverBaseline(5.0)),
    beside("burst_baseline_over_ideal", "burst_makespan_over_ideal_warm", AtMost(1.10)),
    beside("burst_baseline_over_ideal", "burst_makespan_over_ideal_cold", AtMost(1.20)),
    beside(
        "burst_baseline_over_ideal_tokio_sleep",
        "burst_makespan_over_ideal_warm_tokio_sleep",
        NoTarget,
    ),
    beside(
        "burst_baseline_over_ideal_tokio_sleep",
        "burst_makespan_over_ideal_cold_tokio_sleep",
        NoTarget,
    ),
    row("kill9_to_error_ms", AtMost(5.0)),
    row("stopped_runner_lateness_ms", NoTarget),
    row("bytes_per_waiting_call", AtMost(1_024.0)),
    row("bytes_of_a_call_future", NoTarget),
    row("bytes_per_waiting_task", NoTarget),
    row("bytes_per_idle_runner", AtMost(65_536.0)),
    beside("ws_hop_over_direct", "relay_hop_over_direct", AtMost(1.5)),
    beside("ws_hop_over_direct_1MiB", "relay_hop_over_direct_1MiB", AtMost(1.6)),
    beside("ws_hop_over_direct_one_core", "relay_hop_over_direct_one_core", NoTarget),
    beside("ws_hop_over_direct_1MiB_one_core", "relay_hop_over_direct_1MiB_one_core", NoTarget),
    beside("ws_hop_over_direct_1MiB_free", "relay_hop_over_direct_1MiB_free", NoTarget),
    row("relay_pairs_per_s", NoTarget),
    row("relay_idle_pairs", NoTarget),
    row("relay_bytes_per_pair", AtMost(16_384.0)),
    row("relay_idle_pairs_lost", AtMost(0.0)),
    row("relay_pings_missed_at_most", AtMost(0.0)),
    row("resume_ms", AtMost(20.0)),
    row("resume_ms_relayed", AtMost(20.0)),
    row("code_sync_MBps", NoTarget),
    row("code_sync_MBps_relayed", NoTarget),
];
