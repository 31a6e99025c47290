//! How long a connection may be silent, and how long it may be away: two options that depend on each
//! other.

use std::time::Duration;

use flame_wire::parent::RunnerLimits;

use super::PoolBuilder;
use super::start::{LONGEST, millis};

/// The least `silence`: the pings, three times as often, still have time to arrive.
pub(super) const LEAST_SILENCE: Duration = Duration::from_millis(10);
/// The default of `silence`.
const SILENCE: Duration = Duration::from_secs(30);
/// The default of `grace`.
const GRACE: Duration = Duration::from_secs(60);

/// Both options, with their defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionTimes {
    pub(super) silence: Duration,
    pub(super) grace: Duration,
}

impl ConnectionTimes {
    /// The least `grace` with this `silence`.
    pub(super) fn least_grace(self) -> Duration {
        Duration::from_millis(RunnerLimits::least_grace_ms(millis(self.silence)))
    }
}

impl PoolBuilder {
    /// Where one of the two options is not set, its default follows the other.
    pub(super) fn connection_times(&self) -> ConnectionTimes {
        let silence = self.silence.unwrap_or_else(|| {
            let half = self.grace.map_or(SILENCE, |grace| grace / 2);
            SILENCE.min(half).max(LEAST_SILENCE)
        });
        let silence = silence.min(LONGEST);
        let grace = self.grace.unwrap_or_else(|| GRACE.max(2 * silence));
        ConnectionTimes { silence, grace: grace.min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PoolError;

    fn builder(silence: Option<u64>, grace: Option<u64>) -> PoolBuilder {
        let mut builder = PoolBuilder::new("test");
        builder.silence = silence.map(Duration::from_millis);
        builder.grace = grace.map(Duration::from_millis);
        builder
    }

    #[test]
    fn a_connection_that_only_one_side_sees_break_comes_back_within_the_default_grace() {
        let ConnectionTimes { silence, grace } = builder(None, None).connection_times();
        assert_eq!((silence.as_secs(), grace.as_secs()), (30, 60));
        // Whichever of the two is set alone.
        for time in [20, 100, 999, 29_000, 61_000, 10_000_000, u64::MAX] {
            for (silence, grace) in [(Some(time), None), (None, Some(time))] {
                let builder = builder(silence, grace);
                builder.check().unwrap_or_else(|error| panic!("{silence:?} {grace:?}: {error}"));
                let limits = builder.config(0, builder.limits(), Duration::from_secs(1)).runner;
                assert!(limits.grace_ms >= RunnerLimits::least_grace_ms(limits.silence_ms));
                assert!(limits.ping_ms < limits.silence_ms);
            }
        }
    }

    #[test]
    fn a_grace_that_is_too_short_beside_the_silence_is_refused_with_both_names() {
        for (silence, grace) in [(60_000, 30_000), (60_000, 69_999), (1_000, 1_499), (10, 0)] {
            let error = builder(Some(silence), Some(grace)).check().unwrap_err();
            assert!(matches!(error, PoolError::Option { option: "grace", .. }), "{error}");
            assert!(error.to_string().contains("`silence`"), "{error}");
        }
        for (silence, grace) in [(60_000, 70_000), (1_000, 1_500), (u64::MAX, u64::MAX)] {
            builder(Some(silence), Some(grace)).check().unwrap();
        }
    }
}
