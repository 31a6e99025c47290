//! The question whether an idle runner may end, asked in two steps: first of the predicate, if
//! there is one, then of the parent.
//!
//! ```text
//!   idle ──idle limit──▶ ask the predicate ──true──▶ propose to the parent ──drain──▶ the runner ends
//!     ▲                        │ false                     │ stay up
//!     └─────── asked again after the idle limit, or when the parent allows it ◀──┘
//! ```
//!
//! Work withdraws an open question. Its answer still arrives, and no other question is asked
//! before: answers carry no number, so two open questions could not be told apart.

use std::time::{Duration, Instant};

/// The shortest time between an answer and the next question. Without it, an idle limit of zero, or
/// a parent that allows another proposal at once, would be a busy loop.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// A question to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdleQuestion {
    Predicate,
    Parent { idle_for: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenQuestion {
    Nothing,
    Predicate,
    Proposal,
}

/// How long the runner has been without work, and which question about it is open.
#[derive(Debug)]
pub(super) struct IdleNegotiation {
    limit: Option<Duration>,
    ask_predicate: bool,
    /// When the last work ended; `None` while there is work.
    idle_since: Option<Instant>,
    /// The earliest time of the next question; `None` while there is work.
    ask_at: Option<Instant>,
    open: OpenQuestion,
    /// Work began after the open question was asked: consent is out of date.
    withdrawn: bool,
}

impl IdleNegotiation {
    pub(super) fn new(limit: Option<Duration>, ask_predicate: bool) -> Self {
        Self {
            limit,
            ask_predicate,
            idle_since: None,
            ask_at: None,
            open: OpenQuestion::Nothing,
            withdrawn: false,
        }
    }

    /// The last work ended, or the runner begins to serve.
    pub(super) fn work_ended(&mut self, now: Instant) {
        self.idle_since = Some(now);
        self.ask_at = self.limit.and_then(|limit| now.checked_add(limit));
    }

    /// Work began.
    pub(super) fn work_began(&mut self) {
        self.idle_since = None;
        self.ask_at = None;
        self.withdrawn = self.open != OpenQuestion::Nothing;
    }

    /// The runner drains: no more questions are asked.
    pub(super) fn stop(&mut self) {
        self.limit = None;
        self.ask_at = None;
        self.open = OpenQuestion::Nothing;
    }

    /// When to call [`IdleNegotiation::ask`].
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| self.open == OpenQuestion::Nothing)
    }

    /// Opens the next question. The caller has checked that it is due.
    pub(super) fn ask(&mut self, now: Instant) -> Option<IdleQuestion> {
        let since = self.idle_since?;
        self.withdrawn = false;
        if self.ask_predicate {
            self.open = OpenQuestion::Predicate;
            Some(IdleQuestion::Predicate)
        } else {
            Some(self.propose(now, since))
        }
    }

    pub(super) fn predicate_says(&mut self, now: Instant, may_end: bool) -> Option<IdleQuestion> {
        if self.open != OpenQuestion::Predicate {
            return None;
        }
        self.open = OpenQuestion::Nothing;
        match self.idle_since {
            Some(since) if may_end && !self.withdrawn => Some(self.propose(now, since)),
            _ => {
                self.ask_again(now, None);
                None
            }
        }
    }

    /// Whether a proposal was open. If so, this answers it: the runner will drain.
    pub(super) fn proposal_allowed(&mut self) -> bool {
        let allowed = self.open == OpenQuestion::Proposal;
        if allowed {
            self.open = OpenQuestion::Nothing;
        }
        allowed
    }

    pub(super) fn stay_up(&mut self, now: Instant, again_in: Option<Duration>) {
        if self.open == OpenQuestion::Proposal {
            self.open = OpenQuestion::Nothing;
            self.ask_again(now, again_in);
        }
    }

    fn propose(&mut self, now: Instant, since: Instant) -> IdleQuestion {
        self.open = OpenQuestion::Proposal;
        IdleQuestion::Parent { idle_for: now.saturating_duration_since(since) }
    }

    /// Schedules the next question after a rejection. If work came in between, its end has already
    /// set the time, and the answer to the withdrawn question can only postpone it.
    fn ask_again(&mut self, now: Instant, again_in: Option<Duration>) {
        let (Some(limit), Some(_)) = (self.limit, self.idle_since) else {
            return;
        };
        // A time too far away for an instant means never.
        let again = now.checked_add(again_in.unwrap_or(limit).max(MIN_PAUSE));
        self.ask_at = match again_in {
            None if self.withdrawn => self.ask_at,
            Some(_) if self.withdrawn => self.ask_at.zip(again).map(|(set, again)| set.max(again)),
            _ => again,
        };
    }
}
