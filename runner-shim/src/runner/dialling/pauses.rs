//! The pauses between the attempts at one address. The jitter keeps runners that lost their
//! connections together from coming back all at once.

use std::time::Duration;

use flame_wire::backoff::Backoff;

/// The shortest pause.
const FIRST: Duration = Duration::from_millis(50);
/// The share of each pause that is random.
const JITTER: f64 = 0.5;

/// The pauses if the address does not answer as a parent or a relay does.
pub(super) const BACKOFF: Backoff = Backoff::new(FIRST, Duration::from_secs(2)).with_jitter(JITTER);

/// The longest of the first pauses if a relay answers that the parent is not there, and how many of
/// them there are.
const SOON: (Duration, u32) = (Duration::from_millis(400), 8);
/// The longest pause if a relay has answered.
const LONGEST_AT_RELAY: Duration = Duration::from_secs(5);
/// How many of the longest pauses fit into `reconnect_timeout`. It is at least 1.5 times as long as
/// the time in which a parent notices that it has lost a connection, so some attempts are left when
/// such a parent is back.
const PAUSES_IN_RECONNECT_TIMEOUT: u32 = 8;

/// The pauses if a relay answers that the parent is not there.
///
/// At first they are short: the parent may be about to connect to that relay, and the next attempt
/// may reach another relay behind the same address. Then they grow, because the parent may be gone
/// for good, and each of its runners asks until `reconnect_timeout`.
pub(super) fn backoff_at_relay(reconnect_timeout: Duration) -> Backoff {
    let (soon, attempts) = SOON;
    let longest = (reconnect_timeout / PAUSES_IN_RECONNECT_TIMEOUT).clamp(soon, LONGEST_AT_RELAY);
    Backoff::new(FIRST, longest).with_jitter(JITTER).with_plateau(soon, attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When the attempts happen that follow a lost connection, until `reconnect_timeout`, with the
    /// longest or the shortest pauses.
    fn attempts(reconnect_timeout: Duration, random: f64) -> Vec<Duration> {
        let backoff = backoff_at_relay(reconnect_timeout);
        let mut at = Duration::ZERO;
        let attempts = (1..).map(|failures| {
            at += backoff.pause(failures, random);
            at
        });
        attempts.take_while(|at| *at < reconnect_timeout).collect()
    }

    #[test]
    fn a_relay_whose_parent_is_gone_is_asked_less_and_less_often() {
        for random in [0.0, 1.0] {
            let attempts = attempts(60 * SECOND, random);
            assert!(attempts.len() <= 40, "{} attempts in a minute", attempts.len());
            let pause = attempts[attempts.len() - 1] - attempts[attempts.len() - 2];
            assert!(pause >= LONGEST_AT_RELAY / 2, "{pause:?}");
        }
    }

    #[test]
    fn a_parent_that_is_back_within_two_seconds_is_found_within_half_a_second() {
        let attempts = attempts(60 * SECOND, 1.0);
        let short = attempts.windows(2).take_while(|pair| pair[0] <= 2 * SECOND);
        assert!(short.clone().count() >= 5);
        assert!(short.into_iter().all(|pair| pair[1] - pair[0] <= SECOND / 2), "{attempts:?}");
    }

    #[test]
    fn attempts_are_left_for_a_parent_that_notices_the_loss_as_late_as_it_can() {
        for reconnect_timeout in [15, 150, 1_500, 6_000, 45_000, 600_000].map(Duration::from_millis)
        {
            let noticed = reconnect_timeout * 2 / 3;
            let attempts = attempts(reconnect_timeout, 1.0);
            let left = attempts.iter().filter(|at| **at > noticed).count();
            // Even without a relay, the first pauses are longer than the shortest timeouts.
            let expected = if reconnect_timeout < 4 * SOON.0 { 0 } else { 2 };
            assert!(left >= expected, "{reconnect_timeout:?}: {attempts:?}");
        }
    }
}
