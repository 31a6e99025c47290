//! The attempts to create one machine: pure.
//!
//! A request whose answer is lost may have been carried out. It can be repeated all the same: names
//! of machines are unique within an app, and the name is made from the runner. So a second request
//! either creates the machine, or is rejected with the id of the machine that the first one has
//! created.

use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;

use super::failure::ApiError;

/// The delays between the attempts.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(5)).with_jitter(0.5);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Attempts {
    deadline: Instant,
    failures: u32,
    may_exist: bool,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// An earlier attempt has created the machine with this id.
    Created(String),
    /// An earlier attempt has created the machine: look for it by its metadata.
    Find,
    /// Try again then.
    RetryAt(Instant),
    /// The boot has failed with this error.
    GiveUp,
}

impl Attempts {
    /// No attempt begins at or after `deadline`.
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, failures: 0, may_exist: false }
    }

    /// An attempt has failed. `random` is between 0 and 1.
    pub(super) fn failed(&mut self, error: &ApiError, now: Instant, random: f64) -> Next {
        self.failures += 1;
        if error.is_name_taken() {
            self.may_exist = true;
            return error
                .machine_with_the_name()
                .map_or(Next::Find, |id| Next::Created(id.to_owned()));
        }
        self.may_exist |= error.is_ambiguous();
        let pause = BACKOFF.pause(self.failures, random);
        let retry_at = now + pause.max(error.retry_after().unwrap_or_default());
        match error.may_pass() && retry_at < self.deadline {
            true => Next::RetryAt(retry_at),
            false => Next::GiveUp,
        }
    }

    /// Whether there may be a machine although the boot has failed.
    pub(super) fn may_exist(&self) -> bool {
        self.may_exist
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::failure::ErrorKind;
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a start for instants that tests add to")]
    fn start() -> Instant {
        Instant::now()
    }

    fn answer(code: u16, retry_after: Option<u64>, text: &str) -> ApiError {
        let retry_after = retry_after.map(Duration::from_secs);
        ApiError { kind: ErrorKind::Status { code, retry_after }, ..broken(text) }
    }

    fn broken(text: &str) -> ApiError {
        ApiError::new(ErrorKind::Broken, text)
    }

    const TAKEN: &str = "already_exists: unique machine name violation, machine ID 148ed1 already \
                         exists with name \"x\"";

    #[test]
    fn a_machine_that_an_earlier_attempt_has_created_is_found() {
        let now = start();
        let mut attempts = Attempts::new(now + Duration::from_secs(10));
        assert!(matches!(attempts.failed(&broken("reset"), now, 0.0), Next::RetryAt(_)));
        assert!(attempts.may_exist());
        let next = attempts.failed(&answer(409, None, TAKEN), now, 0.0);
        assert_eq!(next, Next::Created("148ed1".to_owned()));
        let unnamed = answer(409, None, "unique machine name violation");
        assert_eq!(attempts.failed(&unnamed, now, 0.0), Next::Find);
    }

    #[test]
    fn a_throttled_attempt_waits_as_long_as_the_api_says() {
        let now = start();
        let mut attempts = Attempts::new(now + Duration::from_secs(10));
        let Next::RetryAt(at) = attempts.failed(&answer(429, Some(4), ""), now, 0.0) else {
            panic!("it passes")
        };
        assert_eq!(at - now, Duration::from_secs(4));
        assert!(!attempts.may_exist(), "it was not carried out");
        assert_eq!(attempts.failed(&answer(429, Some(60), ""), now, 0.0), Next::GiveUp);
    }

    #[test]
    fn an_error_that_lasts_ends_the_attempts() {
        let now = start();
        let mut attempts = Attempts::new(now + Duration::from_secs(10));
        let full = answer(412, None, "insufficient resources");
        assert_eq!(attempts.failed(&full, now, 0.0), Next::GiveUp);
        assert!(!attempts.may_exist());
    }

    proptest! {
        /// Whatever fails, no attempt begins after the deadline, and the attempts come to an end.
        #[test]
        fn attempts_end_before_their_deadline(codes in prop::collection::vec(0..4_usize, 1..200)) {
            let begun = start();
            let deadline = begun + Duration::from_secs(30);
            let (mut attempts, mut now, mut left) = (Attempts::new(deadline), begun, false);
            for code in codes.iter().cycle().take(1000) {
                let error = match code {
                    0 => broken("reset"),
                    1 => answer(429, Some(1), ""),
                    2 => answer(500, None, ""),
                    _ => ApiError::new(ErrorKind::Unreachable, ""),
                };
                match attempts.failed(&error, now, 0.5) {
                    Next::RetryAt(at) => {
                        prop_assert!(at > now && at < deadline);
                        now = at;
                    }
                    next => {
                        prop_assert_eq!(next, Next::GiveUp);
                        left = true;
                        break;
                    }
                }
            }
            prop_assert!(left);
        }
    }
}
