//! The table's rows: each figure, its floor and its aim.

use std::fmt;

/// A figure, by the key under which it is measured.
pub(super) struct Row {
    pub(super) key: &'static str,
    /// The key of its floor, which was measured in alternation with it.
    pub(super) floor: Option<&'static str>,
    pub(super) aim: Aim,
}

/// The value that a figure should have.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    None,
    AtMost(f64),
    AtLeast(f64),
    /// At most this many times its floor.
    TimesFloor(f64),
    /// At most its floor plus this.
    OverFloor(f64),
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
            Self::TimesFloor(times) => write!(f, "<= {times} x floor"),
            Self::OverFloor(more) => write!(f, "<= floor + {more}"),
        }
    }
}

const fn row(key: &'static str, aim: Aim) -> Row {
    Row { key, floor: None, aim }
}

const fn beside(floor: &'static str, key: &'static str, aim: Aim) -> Row {
    Row { key, floor: Some(floor), aim }
}

use Aim::{AtLeast, AtMost, None as NoAim, OverFloor, TimesFloor};

pub(super) const ROWS: &[Row] = &[
    beside("ws_floor_p50_us", "warm_call_p50_us", TimesFloor(1.4)),
    beside("ws_floor_p99_us", "warm_call_p99_us", NoAim),
    beside("ws_floor_p50_us_one_core", "warm_call_p50_us_one_core", TimesFloor(2.0)),
    beside("ws_floor_p99_us_one_core", "warm_call_p99_us_one_core", NoAim),
    beside("awaited_here_p50_us", "local_call_p50_us", NoAim),
    row("warm_call_cpu_us_parent", NoAim),
    row("warm_call_cpu_us_runner", NoAim),
    beside("ws_floor_cpu_us", "warm_call_cpu_us", AtMost(45.0)),
    row("warm_call_cpu_us_parent_one_core", NoAim),
    row("warm_call_cpu_us_runner_one_core", NoAim),
    beside("ws_floor_cpu_us_one_core", "warm_call_cpu_us_one_core", AtMost(45.0)),
    beside("ws_floor_per_s_1", "calls_per_s_1", NoAim),
    beside("ws_floor_per_s_10", "calls_per_s_10", NoAim),
    beside("ws_floor_per_s_100", "calls_per_s_100", AtLeast(100_000.0)),
    beside("ws_floor_per_s_1000", "calls_per_s_1000", NoAim),
    row("calls_per_s_1_runners_4", NoAim),
    row("calls_per_s_10_runners_4", NoAim),
    row("calls_per_s_100_runners_4", AtLeast(120_000.0)),
    row("calls_per_s_1000_runners_4", NoAim),
    beside("tls_floor_64KiB_us", "echo_64KiB_us", TimesFloor(1.3)),
    beside("tls_floor_1MiB_us", "echo_1MiB_us", TimesFloor(1.3)),
    beside("tls_floor_16MiB_us", "echo_16MiB_us", TimesFloor(1.3)),
    beside("small_call_p99_us_alone", "small_call_p99_us_beside_64MiB", AtMost(1_000.0)),
    beside("bare_start_ms", "cold_boot_ms", OverFloor(5.0)),
    beside("burst_floor_over_ideal", "burst_makespan_over_ideal_warm", AtMost(1.10)),
    beside("burst_floor_over_ideal", "burst_makespan_over_ideal_cold", AtMost(1.20)),
    beside(
        "burst_floor_over_ideal_tokio_sleep",
        "burst_makespan_over_ideal_warm_tokio_sleep",
        NoAim,
    ),
    beside(
        "burst_floor_over_ideal_tokio_sleep",
        "burst_makespan_over_ideal_cold_tokio_sleep",
        NoAim,
    ),
    row("kill9_to_error_ms", AtMost(5.0)),
    row("stopped_runner_lateness_ms", NoAim),
    row("bytes_per_waiting_call", AtMost(1_024.0)),
    row("bytes_of_a_call_future", NoAim),
    row("bytes_per_waiting_task", NoAim),
    row("bytes_per_idle_runner", AtMost(65_536.0)),
];
