//! The times of an instance, which follow from those of its pool: pure.

use std::time::Duration;

use super::PoolInfo;

/// A boot has at least this time for its requests. A short `boot_timeout` must not make it give up
/// an instance that is about to start.
#[cfg(any(feature = "docker", feature = "fly"))]
const LEAST_BOOT: Duration = Duration::from_secs(10);
/// A runner that gets SIGTERM keeps at most this much for its last messages.
#[cfg(any(feature = "docker", feature = "fly"))]
const LAST_MESSAGES: Duration = Duration::from_secs(5);

/// How long an instance may live from the begin of its boot, if the pool limits it.
pub(super) fn max_age(pool: &PoolInfo) -> Option<Duration> {
    let lifetime = pool.max_lifetime?;
    Some(pool.boot_timeout.saturating_add(lifetime).saturating_add(pool.shutdown_timeout))
}

/// How long the requests of a boot may take: less than the boot timeout, since the pool gives up a
/// late boot without learning its reason.
#[cfg(any(feature = "docker", feature = "fly"))]
pub(super) fn request_limit(boot_timeout: Duration) -> Duration {
    (boot_timeout / 4 * 3).max(LEAST_BOOT)
}

/// The time from SIGTERM to SIGKILL, in seconds, if somebody stops an instance. It is longer than
/// the shutdown window, for the last messages.
#[cfg(any(feature = "docker", feature = "fly"))]
pub(super) fn stop_seconds(shutdown_timeout: Duration) -> u64 {
    let stop = shutdown_timeout.saturating_add(LAST_MESSAGES);
    stop.as_secs().saturating_add(u64::from(stop.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::pool_info;

    #[test]
    fn an_instance_lives_as_long_as_its_boot_its_runner_and_its_shutdown_take() {
        let seconds = Duration::from_secs;
        let pool = |max_lifetime| PoolInfo {
            boot_timeout: seconds(30),
            max_lifetime,
            shutdown_timeout: seconds(5),
            ..pool_info()
        };
        assert_eq!(max_age(&pool(None)), None);
        assert_eq!(max_age(&pool(Some(seconds(600)))), Some(seconds(635)));
        assert_eq!(max_age(&pool(Some(Duration::MAX))), Some(Duration::MAX), "for ever");
    }

    #[cfg(any(feature = "docker", feature = "fly"))]
    #[test]
    fn requests_end_before_the_boot_timeout_unless_it_is_short() {
        let seconds = Duration::from_secs;
        assert_eq!(request_limit(seconds(40)), seconds(30));
        assert_eq!(request_limit(seconds(2)), LEAST_BOOT);
        assert_eq!(request_limit(Duration::ZERO), LEAST_BOOT);
    }

    #[cfg(any(feature = "docker", feature = "fly"))]
    #[test]
    fn the_time_between_the_signals_is_longer_than_the_shutdown_window() {
        for (shutdown, seconds) in [(0, 5), (100, 6), (30_000, 35), (30_001, 36)] {
            assert_eq!(stop_seconds(Duration::from_millis(shutdown)), seconds);
        }
        assert_eq!(stop_seconds(Duration::MAX), u64::MAX);
    }
}
