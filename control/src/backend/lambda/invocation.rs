//! One boot, from the first request to the reported death: pure, `now` is an argument.
//!
//! ```text
//!              ┌─ not carried out: backoff ─┐
//!              ▼                            │           response
//!  Invoke ─▶ InFlight ──────────────────────────────────────────▶ ReportDeath
//!              │                                                      ▲
//!              ├── no response, no hello yet: invoked once more       │ goodbye, or stop
//!              └── no response, but a hello; or a duplicate ─▶ Detached
//! ```
//!
//! # What may be repeated
//!
//! A request that Lambda rejects with 429, or because the function is not ready, was not carried
//! out. It is repeated with backoff for two thirds of the boot timeout; a runner that begins later
//! would hardly connect in time.
//!
//! A request without a response may have been carried out. A second invocation is harmless, since
//! the token admits one runner: the later runner is rejected, and its invocation ends at once. It
//! costs one invocation at most, and it saves the boot if the first request was lost. So the
//! request is repeated once, unless the runner has said hello. After the hello nothing is repeated:
//! the lost response would only have reported the runner's end, which the link reports now.
//!
//! # Stopping
//!
//! Lambda has no way to end an invocation, and dropping the request does not end it. A runner that
//! its parent gives up is rejected when it connects, or loses its link, and then ends by itself. So
//! a stop waits briefly for the response, and then gives the invocation up.
//!
//! # Invariants
//!
//! - [`Action::ReportDeath`] comes exactly once, however Lambda responds, and no action follows it.
//!   It comes at the latest [`STOP_TIMEOUT`] after a stop.
//! - At most one request is in flight, and at most two requests may have been carried out.
//! - No invocation is repeated once its runner has said hello.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flame_wire::backoff::Backoff;

use super::super::aws::jittered_backoff;
use super::invoke_failure::{InvokeFailure, RetryDecision};
use super::outcome::{InvokeOutcome, InvokeResponse};
use crate::backend::{Death, InstanceEvent};

/// How long a stop waits for the response of a runner that may be ending by itself.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a response may take after the runner's goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// The delays after requests that were not carried out.
const BACKOFF: Backoff = jittered_backoff(Duration::from_millis(250), Duration::from_millis(4_000));

/// An event of an invocation.
#[derive(Debug)]
pub(super) enum Event {
    Responded(InvokeResponse),
    /// The request failed. The number, in 0..1, is the jitter of the delay.
    Failed(InvokeFailure, f64),
    /// The pool has seen something of the runner.
    Instance(InstanceEvent),
    Stop,
}

/// An action that the driver carries out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Invoke the function. The request continues whatever else happens.
    Invoke,
    /// Report the death.
    ReportDeath(Death),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InvocationState {
    /// A request is in flight.
    InFlight,
    /// The next request is made then.
    BackingOff(Instant),
    /// The runner may live, and no response will report its end.
    Detached,
    Dead,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Invocation {
    function: String,
    /// A sentence that says how a runner ends after it was given up.
    how_it_ends: String,
    /// No request is made after this.
    boot_deadline: Instant,
    state: InvocationState,
    /// The last event that the pool saw of the runner, if any.
    last_event: Option<InstanceEvent>,
    attempts: u32,
    /// How many requests had no response and may have been carried out.
    ambiguous: u32,
    /// When the response is no longer waited for, and why.
    gives_up: Option<(Instant, &'static str)>,
    actions: VecDeque<Action>,
}

impl Invocation {
    /// A boot that begins at `now` and has `boot_timeout` until the runner's hello. `how_it_ends`
    /// is a sentence that says how a runner ends that is given up.
    pub(super) fn new(
        now: Instant,
        function: impl Into<String>,
        boot_timeout: Duration,
        how_it_ends: impl Into<String>,
    ) -> Self {
        let mut this = Self {
            function: function.into(),
            how_it_ends: how_it_ends.into(),
            boot_deadline: now.checked_add(boot_timeout / 3 * 2).unwrap_or(now),
            state: InvocationState::InFlight,
            last_event: None,
            attempts: 0,
            ambiguous: 0,
            gives_up: None,
            actions: VecDeque::new(),
        };
        this.invoke();
        this
    }

    /// The next action, if there is one.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, unless an event comes first.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let retry_at = match self.state {
            InvocationState::BackingOff(until) => Some(until),
            InvocationState::Dead => return None,
            InvocationState::InFlight | InvocationState::Detached => None,
        };
        retry_at.into_iter().chain(self.gives_up.map(|(at, _)| at)).min()
    }

    /// Whether an [`Action::Invoke`] may still follow. If not, the event may be dropped.
    pub(super) fn may_invoke(&self) -> bool {
        let may_be_repeated = match self.state {
            InvocationState::InFlight | InvocationState::BackingOff(_) => true,
            InvocationState::Detached | InvocationState::Dead => false,
        };
        may_be_repeated && self.last_event.is_none() && self.gives_up.is_none()
    }

    /// Handles an event.
    pub(super) fn handle(&mut self, now: Instant, event: Event) {
        if self.state == InvocationState::Dead {
            return;
        }
        match event {
            Event::Responded(response) => match response.outcome(&self.function) {
                InvokeOutcome::Ended(death) => self.die(death),
                InvokeOutcome::DuplicateRejected | InvokeOutcome::Queued => self.detach(),
            },
            Event::Failed(failure, jitter) => self.failed(now, &failure, jitter),
            Event::Instance(event) => self.instance_event(now, event),
            Event::Stop => self.stop(now),
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let InvocationState::BackingOff(until) = self.state
            && until <= now
        {
            self.state = InvocationState::InFlight;
            self.invoke();
        }
        if let Some((at, why)) = self.gives_up
            && at <= now
            && self.state != InvocationState::Dead
        {
            self.give_up(why);
        }
    }

    fn invoke(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        self.actions.push_back(Action::Invoke);
    }

    fn failed(&mut self, now: Instant, failure: &InvokeFailure, jitter: f64) {
        if self.last_event.is_some() {
            return self.detach();
        }
        let may_retry = match failure.retry_decision() {
            RetryDecision::Retry => true,
            RetryDecision::Ambiguous => {
                self.ambiguous = self.ambiguous.saturating_add(1);
                self.ambiguous == 1
            }
            RetryDecision::GiveUp => false,
        };
        // Lambda may ask for a longer delay.
        let retry_after = failure.error.retry_after.unwrap_or_default();
        let at = now.checked_add(BACKOFF.pause(self.attempts, jitter).max(retry_after));
        match at.filter(|at| may_retry && *at <= self.boot_deadline && self.gives_up.is_none()) {
            Some(at) => self.state = InvocationState::BackingOff(at),
            None => self.die(failure.death(&self.function, self.attempts)),
        }
    }

    fn instance_event(&mut self, now: Instant, event: InstanceEvent) {
        self.last_event = Some(event);
        match (event, self.state) {
            // The request that was about to be repeated had been carried out.
            (InstanceEvent::Connected, InvocationState::BackingOff(_)) => {
                self.state = InvocationState::Detached
            }
            (InstanceEvent::Exiting, InvocationState::InFlight) => {
                self.give_up_at(
                    now,
                    GOODBYE_TIMEOUT,
                    "the runner said goodbye, and Lambda did not respond",
                );
            }
            (
                InstanceEvent::Exiting,
                InvocationState::BackingOff(_) | InvocationState::Detached,
            ) => {
                self.die(Death::new("the runner said goodbye"));
            }
            _ => {}
        }
    }

    fn stop(&mut self, now: Instant) {
        match self.state {
            InvocationState::InFlight => self.give_up_at(now, STOP_TIMEOUT, "it was stopped"),
            InvocationState::BackingOff(_) => {
                self.die(Death::new("the invocation was stopped before Lambda ran it"))
            }
            InvocationState::Detached => self.give_up("it was stopped"),
            InvocationState::Dead => {}
        }
    }

    /// Gives up at the earliest time and for the first reason of several.
    fn give_up_at(&mut self, now: Instant, after: Duration, why: &'static str) {
        let at = now.checked_add(after).unwrap_or(now);
        let (earlier, first) = self.gives_up.unwrap_or((at, why));
        self.gives_up = Some((earlier.min(at), first));
    }

    /// No response will report the runner's end.
    fn detach(&mut self) {
        self.state = InvocationState::Detached;
        if self.last_event == Some(InstanceEvent::Exiting) {
            self.die(Death::new("the runner said goodbye"));
        } else if let Some((_, why)) = self.gives_up {
            self.give_up(why);
        }
    }

    fn give_up(&mut self, why: &str) {
        let how_it_ends = &self.how_it_ends;
        self.die(Death::new(format!(
            "the invocation was given up: {why}; Lambda has no way to end an invocation, so if it \
             still runs, {how_it_ends}"
        )));
    }

    fn die(&mut self, death: Death) {
        self.state = InvocationState::Dead;
        self.gives_up = None;
        self.actions.push_back(Action::ReportDeath(death));
    }
}

#[cfg(test)]
mod tests;
