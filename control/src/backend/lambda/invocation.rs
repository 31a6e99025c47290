//! One boot, from the first request to the death that is told of: pure, `now` is an argument.
//!
//! ```text
//!            ┌── not carried out: a pause ──┐
//!            ▼                              │            answer
//!  Send ─▶ Asked ────────────────────────────────────────────────▶ Die
//!            │                                                      ▲
//!            ├── no answer, not heard of: asked once more           │ goodbye, or stop
//!            └── no answer, but heard of; or the other one ─▶ Unseen
//! ```
//!
//! # What may be asked twice
//!
//! A request that Lambda has refused by 429, or because the function is not ready, was not carried
//! out: it is repeated with back-off, for two thirds of the boot's time; a runner that began later
//! would hardly be up in time.
//!
//! A request without an answer may have been carried out. The token lets one runner in, so a second
//! one is harmless: whichever comes later is refused, and its invocation ends at once. It costs an
//! invocation at most, and saves the boot where the first request was lost. So it is repeated, once,
//! as long as the runner has not been heard of. Once it has, nothing is repeated: the lost answer
//! would only have told of its end, and now the link does.
//!
//! # Stopping
//!
//! Lambda has no way to end an invocation, and dropping the request does not end it. A runner that
//! its parent gives up is refused when it dials, or loses its link, and ends by itself: so a stop
//! waits a little for the answer, and then gives the invocation up.
//!
//! # Invariants
//!
//! - [`Action::Die`] comes exactly once, however Lambda answers, and nothing after it; at the latest
//!   [`STOPPING`] after a stop.
//! - There is never more than one request under way, and never more than two that may have been
//!   carried out.
//! - No invocation is repeated once its runner has said hello.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::aws::pace::Pace;
use super::outcome::{Meaning, Reply};
use super::refusal::{Refusal, Verdict};
use crate::backend::{Death, InstanceEvent};

/// How long a stop waits for the answer of a runner that may end by itself.
pub(super) const STOPPING: Duration = Duration::from_secs(3);
/// How long after a goodbye its answer may come.
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// Between requests that were not carried out.
const PACE: Pace =
    Pace { first: Duration::from_millis(250), longest: Duration::from_millis(4_000) };

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    Answered(Reply),
    /// With a chance in 0..1 for the pause's jitter.
    Failed(Refusal, f64),
    /// The link tells of the runner.
    Seen(InstanceEvent),
    Stop,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Invoke the function; the request goes on whatever else happens.
    Send,
    /// Tell of the death.
    Die(Death),
}

/// Where a boot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Pausing(Instant),
    /// The runner lives, or may, and no answer will tell of its end.
    Unseen,
    Dead,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Invocation {
    function: String,
    /// How a runner that is given up ends.
    by_itself: String,
    /// No request that may boot is begun after it.
    boots_until: Instant,
    state: State,
    heard: Option<InstanceEvent>,
    tried: u32,
    /// Requests that may have been carried out and gave no answer.
    unclear: u32,
    /// When the answer is not waited for any longer, and why.
    gives_up: Option<(Instant, &'static str)>,
    actions: VecDeque<Action>,
}

impl Invocation {
    /// A boot that begins at `now` and has `boot_time` until the runner's hello. `by_itself` says
    /// how a runner that is given up ends.
    pub(super) fn new(
        now: Instant,
        function: impl Into<String>,
        boot_time: Duration,
        by_itself: impl Into<String>,
    ) -> Self {
        let mut this = Self {
            function: function.into(),
            by_itself: by_itself.into(),
            boots_until: now.checked_add(boot_time / 3 * 2).unwrap_or(now),
            state: State::Asked,
            heard: None,
            tried: 0,
            unclear: 0,
            gives_up: None,
            actions: VecDeque::new(),
        };
        this.send();
        this
    }

    /// The next thing to do, if any.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, unless an event comes first.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pause = match self.state {
            State::Pausing(until) => Some(until),
            State::Dead => return None,
            State::Asked | State::Unseen => None,
        };
        pause.into_iter().chain(self.gives_up.map(|(at, _)| at)).min()
    }

    /// Takes in what happened.
    pub(super) fn handle(&mut self, now: Instant, event: Event) {
        if self.state == State::Dead {
            return;
        }
        match event {
            Event::Answered(reply) => match reply.meaning(&self.function) {
                Meaning::Ended(death) => self.die(death),
                Meaning::Elsewhere | Meaning::Accepted => self.lose_sight(),
            },
            Event::Failed(refusal, chance) => self.failed(now, &refusal, chance),
            Event::Seen(heard) => self.heard(now, heard),
            Event::Stop => self.stop(now),
        }
    }

    /// Lets what is due at `now` happen.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let State::Pausing(until) = self.state
            && until <= now
        {
            self.state = State::Asked;
            self.send();
        }
        if let Some((at, why)) = self.gives_up
            && at <= now
            && self.state != State::Dead
        {
            self.give_up(why);
        }
    }

    fn send(&mut self) {
        self.tried = self.tried.saturating_add(1);
        self.actions.push_back(Action::Send);
    }

    fn failed(&mut self, now: Instant, refusal: &Refusal, chance: f64) {
        if self.heard.is_some() {
            return self.lose_sight();
        }
        let verdict = refusal.verdict();
        let again = match verdict {
            Verdict::Later => true,
            Verdict::Unclear => {
                self.unclear = self.unclear.saturating_add(1);
                self.unclear == 1
            }
            Verdict::Never => false,
        };
        // Lambda may say how long it is to be left alone.
        let alone = refusal.fault.retry_after.unwrap_or_default();
        let at = now.checked_add(PACE.pause(self.tried, chance).max(alone));
        match at.filter(|at| again && *at <= self.boots_until && self.gives_up.is_none()) {
            Some(at) => self.state = State::Pausing(at),
            None => self.die(refusal.death(&self.function, self.tried)),
        }
    }

    fn heard(&mut self, now: Instant, heard: InstanceEvent) {
        self.heard = Some(heard);
        match (heard, self.state) {
            // It is there: the request that was to be repeated had been carried out.
            (InstanceEvent::Connected, State::Pausing(_)) => self.state = State::Unseen,
            (InstanceEvent::Exiting, State::Asked) => {
                self.give_up_at(now, LAST_ANSWER, "it said goodbye, and its answer did not come");
            }
            (InstanceEvent::Exiting, State::Pausing(_) | State::Unseen) => {
                self.die(Death::new("the runner said goodbye"));
            }
            _ => {}
        }
    }

    fn stop(&mut self, now: Instant) {
        match self.state {
            State::Asked => self.give_up_at(now, STOPPING, "it was stopped"),
            State::Pausing(_) => self.die(Death::new("it was stopped before Lambda ran it")),
            State::Unseen => self.give_up("it was stopped"),
            State::Dead => {}
        }
    }

    /// The earliest time counts, and the first reason.
    fn give_up_at(&mut self, now: Instant, after: Duration, why: &'static str) {
        let at = now.checked_add(after).unwrap_or(now);
        let (earlier, first) = self.gives_up.unwrap_or((at, why));
        self.gives_up = Some((earlier.min(at), first));
    }

    /// Nothing will tell of its end any more.
    fn lose_sight(&mut self) {
        self.state = State::Unseen;
        if self.heard == Some(InstanceEvent::Exiting) {
            self.die(Death::new("the runner said goodbye"));
        } else if let Some((_, why)) = self.gives_up {
            self.give_up(why);
        }
    }

    fn give_up(&mut self, why: &str) {
        let ends = &self.by_itself;
        self.die(Death::new(format!(
            "the invocation was given up: {why}; Lambda has no way to end one, so if it still runs \
             {ends}"
        )));
    }

    fn die(&mut self, death: Death) {
        self.state = State::Dead;
        self.gives_up = None;
        self.actions.push_back(Action::Die(death));
    }
}

#[cfg(test)]
mod tests;
