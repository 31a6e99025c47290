//! How long a connection may be silent, and how long a runner may take to reconnect. The defaults
//! of the two options depend on each other.

use std::time::Duration;

use flame_wire::parent::RunnerLimits;
use flame_wire::time::millis;

use super::PoolBuilder;

/// Ten years. Longer times are reduced to this, so that adding them to a point in time can't
/// overflow. It is also the longest time that a runner accepts.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The shortest `keepalive_timeout`. Pings are sent three times as often, and need time to arrive.
pub(super) const LEAST_KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(10);
/// The default of `keepalive_timeout`.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// The default of `reconnect_timeout`.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Both options, with their defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionTimes {
    pub(super) keepalive_timeout: Duration,
    pub(super) reconnect_timeout: Duration,
}

impl ConnectionTimes {
    /// The shortest `reconnect_timeout` with this `keepalive_timeout`.
    pub(super) fn least_reconnect_timeout(self) -> Duration {
        Duration::from_millis(RunnerLimits::min_reconnect_timeout_ms(millis(
            self.keepalive_timeout,
        )))
    }
}

impl PoolBuilder {
    /// If one of the two options is not set, its default depends on the other.
    pub(super) fn connection_times(&self) -> ConnectionTimes {
        let keepalive_timeout = self.keepalive_timeout.unwrap_or_else(|| {
            let half = self
                .reconnect_timeout
                .map_or(KEEPALIVE_TIMEOUT, |reconnect_timeout| reconnect_timeout / 2);
            KEEPALIVE_TIMEOUT.min(half).max(LEAST_KEEPALIVE_TIMEOUT)
        });
        let keepalive_timeout = keepalive_timeout.min(LONGEST);
        let reconnect_timeout =
            self.reconnect_timeout.unwrap_or_else(|| RECONNECT_TIMEOUT.max(2 * keepalive_timeout));
        ConnectionTimes { keepalive_timeout, reconnect_timeout: reconnect_timeout.min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PoolError;

    fn builder(keepalive_timeout: Option<u64>, reconnect_timeout: Option<u64>) -> PoolBuilder {
        let mut builder = PoolBuilder::new("test");
        builder.keepalive_timeout = keepalive_timeout.map(Duration::from_millis);
        builder.reconnect_timeout = reconnect_timeout.map(Duration::from_millis);
        builder
    }

    #[test]
    fn a_connection_that_only_one_side_sees_break_is_resumed_within_the_default_reconnect_timeout()
    {
        let ConnectionTimes { keepalive_timeout, reconnect_timeout } =
            builder(None, None).connection_times();
        assert_eq!((keepalive_timeout.as_secs(), reconnect_timeout.as_secs()), (30, 60));
        // Either option is set alone.
        for time in [20, 100, 999, 29_000, 61_000, 10_000_000, u64::MAX] {
            for (keepalive_timeout, reconnect_timeout) in [(Some(time), None), (None, Some(time))] {
                let builder = builder(keepalive_timeout, reconnect_timeout);
                builder.check().unwrap_or_else(|error| {
                    panic!("{keepalive_timeout:?} {reconnect_timeout:?}: {error}")
                });
                let limits =
                    builder.lane_config(0, builder.limits(), Duration::from_secs(1)).runner_limits;
                assert!(
                    limits.reconnect_timeout_ms
                        >= RunnerLimits::min_reconnect_timeout_ms(limits.keepalive_timeout_ms)
                );
                assert!(limits.ping_ms < limits.keepalive_timeout_ms);
            }
        }
    }

    #[test]
    fn a_reconnect_timeout_too_short_for_the_keepalive_timeout_is_rejected_and_both_are_named() {
        for (keepalive_timeout, reconnect_timeout) in
            [(60_000, 30_000), (60_000, 69_999), (1_000, 1_499), (10, 0)]
        {
            let error =
                builder(Some(keepalive_timeout), Some(reconnect_timeout)).check().unwrap_err();
            assert!(
                matches!(error, PoolError::Option { option: "reconnect_timeout", .. }),
                "{error}"
            );
            assert!(error.to_string().contains("`keepalive_timeout`"), "{error}");
        }
        for (keepalive_timeout, reconnect_timeout) in
            [(60_000, 70_000), (1_000, 1_500), (u64::MAX, u64::MAX)]
        {
            builder(Some(keepalive_timeout), Some(reconnect_timeout)).check().unwrap();
        }
    }
}
