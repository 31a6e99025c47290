//! Whether the bucket has the executable, and what to do for a runner that asks for a URL. Pure.
//!
//! ```text
//!            request           stored
//!  Unknown ───────────▶ Storing ───────▶ Stored ──▶ every request gets a URL
//!     ▲                   │ failed         │ a runner could not download it: it may be gone
//!     │  pause over       ▼                │ (after several failures in a row: Paused)
//!     └──────────────── Paused    ◀────────┴──────▶ Unknown
//! ```

use std::time::{Duration, Instant};

/// How long no runner gets a URL after the bucket could not be used.
const PAUSE: Duration = Duration::from_secs(60);
/// After how many failed downloads in a row no runner gets a URL for a while. Runners that can't
/// reach the bucket lose some seconds of their boot at each attempt.
const MAX_FAILED_DOWNLOADS: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Availability {
    state: State,
    failed_downloads: u32,
    /// The last failure, until the bucket could be used again.
    last_failure: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Storing,
    Stored,
    Paused {
        until: Instant,
    },
}

/// The next step for a runner that asks for a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Start to look for the executable in the bucket, and to upload it if it is missing. Then wait.
    Store,
    /// Wait until the upload that is under way has ended, and ask again.
    Wait,
    /// Presign a URL.
    Presign,
    /// Send no URL.
    GiveUp,
}

impl Availability {
    /// A runner asks for a URL.
    pub(super) fn request(&mut self, now: Instant) -> Next {
        match self.state {
            State::Storing => Next::Wait,
            State::Stored => Next::Presign,
            State::Paused { until } if now < until => Next::GiveUp,
            State::Unknown | State::Paused { .. } => {
                self.state = State::Storing;
                Next::Store
            }
        }
    }

    /// The bucket has the executable.
    pub(super) fn stored(&mut self) {
        self.state = State::Stored;
        self.last_failure = None;
    }

    /// The bucket can't be used. Returns whether the failure is another one than before.
    pub(super) fn failed(&mut self, now: Instant, why: String) -> bool {
        self.state = State::Paused { until: now + PAUSE };
        let is_news = self.last_failure.as_ref() != Some(&why);
        self.last_failure = Some(why);
        is_news
    }

    /// The upload has ended. If neither success nor failure was reported, it was cut off.
    pub(super) fn upload_ended(&mut self) {
        if self.state == State::Storing {
            self.state = State::Unknown;
        }
    }

    /// A runner has downloaded the executable.
    pub(super) fn downloaded(&mut self) {
        self.failed_downloads = 0;
    }

    /// A runner could not download the executable.
    pub(super) fn download_failed(&mut self, now: Instant) {
        if self.state != State::Stored {
            return;
        }
        self.failed_downloads += 1;
        self.state = State::Unknown;
        if self.failed_downloads >= MAX_FAILED_DOWNLOADS {
            self.failed_downloads = 0;
            self.state = State::Paused { until: now + PAUSE };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn stored() -> (Availability, Instant) {
        let (mut availability, now) = (Availability::default(), now());
        assert_eq!(availability.request(now), Next::Store);
        availability.stored();
        availability.upload_ended();
        (availability, now)
    }

    #[test]
    fn the_first_request_starts_an_upload_and_the_others_wait_for_it() {
        let (mut availability, now) = (Availability::default(), now());
        assert_eq!(availability.request(now), Next::Store);
        for _ in 0..3 {
            assert_eq!(availability.request(now), Next::Wait);
        }
        availability.stored();
        availability.upload_ended();
        for _ in 0..3 {
            assert_eq!(availability.request(now + PAUSE * 100), Next::Presign);
        }
    }

    #[test]
    fn after_a_failure_the_bucket_is_left_alone_for_a_while() {
        let (mut availability, now) = (Availability::default(), now());
        availability.request(now);
        assert!(availability.failed(now, "denied".to_owned()));
        availability.upload_ended();
        assert_eq!(availability.request(now), Next::GiveUp);
        assert_eq!(availability.request(now + PAUSE - Duration::from_nanos(1)), Next::GiveUp);
        assert_eq!(availability.request(now + PAUSE), Next::Store);
    }

    #[test]
    fn the_same_failure_is_news_only_once_until_the_bucket_could_be_used() {
        let (mut availability, now) = (Availability::default(), now());
        assert!(availability.failed(now, "denied".to_owned()));
        assert!(!availability.failed(now, "denied".to_owned()));
        assert!(availability.failed(now, "no such bucket".to_owned()));
        availability.stored();
        assert!(availability.failed(now, "no such bucket".to_owned()));
    }

    #[test]
    fn an_upload_that_was_cut_off_is_started_again_by_the_next_request() {
        let (mut availability, now) = (Availability::default(), now());
        assert_eq!(availability.request(now), Next::Store);
        availability.upload_ended();
        assert_eq!(availability.request(now), Next::Store);
    }

    #[test]
    fn after_a_failed_download_the_bucket_is_searched_again() {
        let (mut availability, now) = stored();
        availability.download_failed(now);
        assert_eq!(availability.request(now), Next::Store);
        // The report of another runner does not disturb the search.
        availability.download_failed(now);
        assert_eq!(availability.request(now), Next::Wait);
    }

    #[test]
    fn downloads_that_fail_in_a_row_pause_the_store() {
        let (mut availability, now) = stored();
        let fail = |availability: &mut Availability| {
            availability.download_failed(now);
            let next = availability.request(now);
            availability.stored();
            next
        };
        for _ in 0..MAX_FAILED_DOWNLOADS - 1 {
            assert_eq!(fail(&mut availability), Next::Store);
        }
        availability.downloaded();
        for _ in 0..MAX_FAILED_DOWNLOADS - 1 {
            assert_eq!(fail(&mut availability), Next::Store);
        }
        assert_eq!(fail(&mut availability), Next::GiveUp);
    }
}
