//! When to ask for a machine, and when it is dead: pure.
//!
//! ```text
//!      ┌──────────────── alive ───────────────┐
//!      ▼                                      │
//!  long poll `wait` ── its end, whatever ──▶ `get` ── over, or missing three times ──▶ ended
//!      ▲                                      │
//!      └── pause ◀── missing, or an error ────┘  (then `get` again)
//! ```
//!
//! Only `get` decides. A long poll may miss a state that passes quickly, so it only makes a death
//! known sooner. Fly's answers come from several copies of its database, and a copy that lags does
//! not know a new machine, so a machine counts as gone only if it is missing several times.

use std::time::Duration;

use flame_wire::backoff::Backoff;

/// How often in a row a machine must be missing, and the pause in between.
const MISSING: u32 = 3;
const MISSING_PAUSE: Duration = Duration::from_secs(1);
/// The delays after errors.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(10)).with_jitter(0.5);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Watch {
    missing: u32,
    errors: u32,
    early: u32,
}

/// The result of a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Alive,
    Over,
    Missing,
    Error,
}

/// The end of a long poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// The machine is said to be in one of the states.
    Reached,
    /// It was not, for as long as the poll took.
    TimedOut,
    Error,
}

/// What to do after a `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for the machine's end with a long poll.
    Wait,
    /// `get` again after this pause.
    Again(Duration),
    /// It is dead.
    Ended,
}

impl Watch {
    /// A `get` was answered, or failed. `random` is between 0 and 1.
    pub(super) fn seen(&mut self, seen: Seen, random: f64) -> Next {
        self.missing = if seen == Seen::Missing { self.missing + 1 } else { 0 };
        match seen {
            Seen::Over => Next::Ended,
            Seen::Missing if self.missing >= MISSING => Next::Ended,
            Seen::Missing => Next::Again(MISSING_PAUSE),
            Seen::Alive => Next::Wait,
            Seen::Error => {
                self.errors += 1;
                Next::Again(BACKOFF.pause(self.errors, random))
            }
        }
    }

    /// A long poll has ended. Returns the pause before the next `get`.
    pub(super) fn waited(&mut self, waited: Waited, random: f64) -> Duration {
        match waited {
            Waited::TimedOut => {
                (self.errors, self.early) = (0, 0);
                Duration::ZERO
            }
            // The first time, the machine has most likely ended.
            Waited::Reached => {
                self.early += 1;
                self.errors = 0;
                if self.early == 1 { Duration::ZERO } else { BACKOFF.pause(self.early, random) }
            }
            Waited::Error => {
                self.errors += 1;
                BACKOFF.pause(self.errors, random)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_machine_is_dead_if_it_is_over_or_missing_for_a_while() {
        let mut watch = Watch::default();
        assert_eq!(watch.seen(Seen::Missing, 0.0), Next::Again(MISSING_PAUSE));
        assert_eq!(watch.seen(Seen::Alive, 0.0), Next::Wait, "a copy that lags");
        for _ in 1..MISSING {
            assert_eq!(watch.seen(Seen::Missing, 0.0), Next::Again(MISSING_PAUSE));
        }
        assert_eq!(watch.seen(Seen::Missing, 0.0), Next::Ended);
        assert_eq!(Watch::default().seen(Seen::Over, 0.0), Next::Ended);
    }

    #[test]
    fn an_error_says_nothing_about_the_machine() {
        let mut watch = Watch::default();
        for _ in 0..1000 {
            assert!(matches!(watch.seen(Seen::Error, 0.0), Next::Again(_)));
        }
    }

    #[test]
    fn a_death_that_a_long_poll_reports_is_looked_at_at_once() {
        let mut watch = Watch::default();
        assert_eq!(watch.seen(Seen::Alive, 0.0), Next::Wait);
        assert_eq!(watch.waited(Waited::Reached, 0.0), Duration::ZERO);
    }

    proptest! {
        /// Whatever the API answers at once and for ever, it is not asked without end in no time.
        #[test]
        fn answers_that_come_at_once_are_not_asked_for_in_a_loop(
            steps in prop::collection::vec((0..3_usize, any::<bool>()), 40),
        ) {
            let (mut watch, mut paused) = (Watch::default(), Duration::ZERO);
            for (get, reached) in steps {
                let seen = [Seen::Alive, Seen::Missing, Seen::Error][get];
                match watch.seen(seen, 0.0) {
                    Next::Again(pause) => paused += pause,
                    Next::Ended => return Ok(()),
                    Next::Wait => {
                        let waited = if reached { Waited::Reached } else { Waited::Error };
                        paused += watch.waited(waited, 0.0);
                    }
                }
            }
            prop_assert!(paused > Duration::from_secs(3), "{paused:?}");
        }
    }
}
