//! The events of a simulation, as lines of text. Two runs of a seed have the same trace.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts and hashes the lines, and prints them if asked to.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    is_printed: bool,
}

impl Trace {
    pub(crate) fn new(is_printed: bool) -> Self {
        // The basis and the prime of FNV-1a.
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, is_printed }
    }

    pub(crate) fn line(&mut self, at: Duration, line: fmt::Arguments<'_>) {
        let line = format!("{:>9.3} {line}\n", at.as_secs_f64());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.is_printed {
            print!("{line}");
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines, hash {:016x}", self.lines, self.hash)
    }
}

/// The time of the simulation, for the times in the log.
static NOW_MS: AtomicU64 = AtomicU64::new(0);

/// Sets the time of the lines that are logged from now on.
pub(crate) fn set_log_time(now: Duration) {
    NOW_MS.store(now.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Shows the log of the library with the time of the simulation, as `RUST_LOG` selects.
pub(crate) fn show_log() {
    struct SimulatedTime;
    impl tracing_subscriber::fmt::time::FormatTime for SimulatedTime {
        fn format_time(
            &self,
            writer: &mut tracing_subscriber::fmt::format::Writer<'_>,
        ) -> fmt::Result {
            let now = Duration::from_millis(NOW_MS.load(Ordering::Relaxed));
            write!(writer, "{:>9.3}", now.as_secs_f64())
        }
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_timer(SimulatedTime)
        .init();
}
