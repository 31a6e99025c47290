//! Which data to send to CloudWatch, and when. Pure: the driver makes the requests.
//!
//! ```text
//!  accept ──▶ waiting (bounded in bytes) ──▶ next ──▶ in flight ──▶ answered: accepted ──▶ gone
//!                │ full: drops the oldest                  │
//!                └◀────── throttled, or no answer ─────────┘──▶ rejected ──▶ dropped
//! ```
//!
//! Invariants (each is a property test):
//! - A datum is accepted by CloudWatch, dropped and counted, or still here.
//! - At most one request is in flight. A datum whose request was throttled was not accepted, so no
//!   datum is accepted twice, unless a request had no answer.
//! - A request keeps the limits of the API.
//! - The data that wait take at most [`BatchLimits::waiting_bytes`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;

use super::datum::Datum;
use crate::backend::aws::jittered_backoff;

/// The limits of a request, and of the data that wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    /// The most data in a request.
    pub(super) data: usize,
    /// The most bytes in a request, before compression.
    pub(super) request_bytes: usize,
    /// The most bytes that wait.
    pub(super) waiting_bytes: usize,
}

impl BatchLimits {
    /// The limits of PutMetricData, 1,000 metrics and 1 MB
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>).
    /// The API does not say whether the bytes are counted before or after compression.
    pub(super) const OF_API: Self =
        Self { data: 1000, request_bytes: 1_000_000 - 2048, waiting_bytes: 4 << 20 };
}

/// The pauses after failed requests.
const BACKOFF: Backoff = jittered_backoff(Duration::from_millis(500), Duration::from_secs(30));

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    /// CloudWatch has the data.
    Accepted,
    /// Throttled, or without an answer: repeat it after the pause, or later.
    TryAgain { after: Option<Duration> },
    /// Denied, or not sent: a person has to correct something before the request can succeed.
    Blocked,
    /// These data are invalid. Repeating the request would not help.
    Rejected,
}

/// The data that wait, and the request in flight.
#[derive(Debug)]
pub(super) struct Batches {
    limits: BatchLimits,
    waiting: VecDeque<Datum>,
    /// The size of the data that wait.
    bytes: usize,
    in_flight: Option<Vec<Datum>>,
    failures: u32,
    retry_at: Option<Instant>,
    last: RequestOutcome,
}

impl Batches {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
            in_flight: None,
            failures: 0,
            retry_at: None,
            last: RequestOutcome::Accepted,
        }
    }

    /// Takes data to send. Returns how many of the oldest were dropped for them.
    pub(super) fn accept(&mut self, data: Vec<Datum>) -> usize {
        for datum in data {
            self.bytes += datum.size();
            self.waiting.push_back(datum);
        }
        self.drop_oldest()
    }

    /// The data of the next request, if it is time for one. It is in flight until
    /// [`answered`](Self::answered).
    pub(super) fn next(&mut self, now: Instant) -> Option<Vec<Datum>> {
        if self.in_flight.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.limits.data
            && let Some(datum) = self.waiting.front()
            && (batch.is_empty() || bytes + datum.size() <= self.limits.request_bytes)
        {
            bytes += datum.size();
            batch.extend(self.waiting.pop_front());
        }
        if batch.is_empty() {
            return None;
        }
        self.bytes -= bytes;
        self.retry_at = None;
        self.in_flight = Some(batch.clone());
        Some(batch)
    }

    /// When to ask for the next request, if data wait for the end of a pause.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| !self.waiting.is_empty())
    }

    /// The request in flight has ended. `random` (0 to 1) is for jitter. Returns how many data were
    /// dropped.
    pub(super) fn answered(&mut self, now: Instant, outcome: RequestOutcome, random: f64) -> usize {
        let Some(batch) = self.in_flight.take() else { return 0 };
        self.last = outcome;
        match outcome {
            RequestOutcome::Accepted => {
                self.failures = 0;
                0
            }
            RequestOutcome::Rejected => batch.len(),
            RequestOutcome::TryAgain { .. } | RequestOutcome::Blocked => {
                self.failures = self.failures.saturating_add(1);
                let pause = match outcome {
                    RequestOutcome::TryAgain { after } => {
                        let after = after.unwrap_or_default().min(BACKOFF.max());
                        BACKOFF.pause(self.failures, random).max(after)
                    }
                    _ => BACKOFF.max(),
                };
                self.retry_at = Some(now + pause);
                self.bytes += batch.iter().map(Datum::size).sum::<usize>();
                batch.into_iter().rev().for_each(|datum| self.waiting.push_front(datum));
                self.drop_oldest()
            }
        }
    }

    /// Whether an outcome differs from the last one, so that it is worth a line in the log.
    pub(super) fn is_news(&self, outcome: RequestOutcome) -> bool {
        std::mem::discriminant(&outcome) != std::mem::discriminant(&self.last)
    }

    /// Whether requests can't succeed until a person corrects something.
    pub(super) fn is_blocked(&self) -> bool {
        self.last == RequestOutcome::Blocked && self.in_flight.is_none()
    }

    /// Tries again at once, if requests can't succeed until a person corrects something.
    pub(super) fn unblock(&mut self) {
        if self.is_blocked() {
            self.retry_at = None;
            self.last = RequestOutcome::TryAgain { after: None };
        }
    }

    /// How many data wait or are in flight.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.in_flight.as_ref().map_or(0, Vec::len)
    }

    fn drop_oldest(&mut self) -> usize {
        let before = self.waiting.len();
        while self.bytes > self.limits.waiting_bytes
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.size();
        }
        before - self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
