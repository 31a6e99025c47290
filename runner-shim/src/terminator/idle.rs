//! The two-phase idle question: first the predicate, if there is one, then the parent.
//!
//! ```text
//!   resting ──idle limit──▶ ask predicate ──true──▶ propose to the parent ──allowed──▶ drain
//!      ▲                        │ false                   │ stay up
//!      └────────── asked again after the idle limit, or when the parent says ◀──┘
//! ```
//!
//! Work withdraws an open question. Its answer still comes, and is waited for before the next
//! question is asked: answers carry no number, so two open questions could not be told apart.

use std::time::{Duration, Instant};

/// The least time between an answer and the next question, so that an idle limit of zero, or a
/// parent that wants to be asked again at once, is no busy loop.
const AGAIN_AT_LEAST: Duration = Duration::from_millis(100);

/// What is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Predicate,
    Parent { idle_for: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Predicate,
    Proposal,
}

/// How long the runner has been without work, and which question about it is open.
#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    ask_predicate: bool,
    /// Since when there is no work; `None` while there is some.
    resting_since: Option<Instant>,
    /// When the next question may be asked; `None` while there is work.
    ask_at: Option<Instant>,
    open: Open,
    /// Work came after the open question was asked: its answer, if it is a yes, is out of date.
    withdrawn: bool,
}

impl Idle {
    pub(super) fn new(limit: Option<Duration>, ask_predicate: bool) -> Self {
        Self {
            limit,
            ask_predicate,
            resting_since: None,
            ask_at: None,
            open: Open::Nothing,
            withdrawn: false,
        }
    }

    /// The last work ended, or the runner begins to serve.
    pub(super) fn rest(&mut self, now: Instant) {
        self.resting_since = Some(now);
        self.ask_at = self.limit.and_then(|limit| now.checked_add(limit));
    }

    /// Work began.
    pub(super) fn work(&mut self) {
        self.resting_since = None;
        self.ask_at = None;
        self.withdrawn = self.open != Open::Nothing;
    }

    /// The runner drains: no question matters any more.
    pub(super) fn stop(&mut self) {
        self.limit = None;
        self.ask_at = None;
        self.open = Open::Nothing;
    }

    /// When to call [`Idle::ask`].
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| self.open == Open::Nothing)
    }

    /// Opens the next question. The caller has seen that it is due.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Question> {
        let since = self.resting_since?;
        self.withdrawn = false;
        if self.ask_predicate {
            self.open = Open::Predicate;
            Some(Question::Predicate)
        } else {
            Some(self.propose(now, since))
        }
    }

    pub(super) fn predicate_says(&mut self, now: Instant, may_go: bool) -> Option<Question> {
        if self.open != Open::Predicate {
            return None;
        }
        self.open = Open::Nothing;
        match self.resting_since {
            Some(since) if may_go && !self.withdrawn => Some(self.propose(now, since)),
            _ => {
                self.ask_again(now, None);
                None
            }
        }
    }

    /// Whether a proposal was open. If so it is answered: the runner will drain.
    pub(super) fn proposal_allowed(&mut self) -> bool {
        let allowed = self.open == Open::Proposal;
        if allowed {
            self.open = Open::Nothing;
        }
        allowed
    }

    pub(super) fn stay_up(&mut self, now: Instant, again_in: Option<Duration>) {
        if self.open == Open::Proposal {
            self.open = Open::Nothing;
            self.ask_again(now, again_in);
        }
    }

    fn propose(&mut self, now: Instant, since: Instant) -> Question {
        self.open = Open::Proposal;
        Question::Parent { idle_for: now.saturating_duration_since(since) }
    }

    /// Asks again after a no. Where work came in between, its own rest has set the time, and the
    /// answer to the withdrawn question may only put it off.
    fn ask_again(&mut self, now: Instant, again_in: Option<Duration>) {
        let (Some(limit), Some(_)) = (self.limit, self.resting_since) else {
            return;
        };
        // Too far off to be an instant: never.
        let again = now.checked_add(again_in.unwrap_or(limit).max(AGAIN_AT_LEAST));
        self.ask_at = match again_in {
            None if self.withdrawn => self.ask_at,
            Some(_) if self.withdrawn => {
                self.ask_at.zip(again).map(|(rest, again)| rest.max(again))
            }
            _ => again,
        };
    }
}
