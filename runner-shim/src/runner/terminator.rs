//! Decides when a runner ends. Pure: no clock, no task, no socket.
//!
//! ```text
//!                 Connected                 a reason to end            no work in flight,
//!   Connecting ───────────────▶ Serving ─────────────────▶ Draining ── or the window is over ──▶ Gone
//!       │ failsafe, signal         │ parent lost for too long     │
//!       └──────────────────────────┴──────────────────────────────┴────────────────────────────▶ Gone
//! ```
//!
//! The driver reports what happened ([`Event`]), calls [`Terminator::handle_timeout`] when the next
//! timer is due ([`Terminator::poll_timeout`]), and carries out the [`Action`]s in order. `now` is
//! an argument everywhere.
//!
//! A runner ends
//! * when it is **idle**, in two steps: the runner proposes to end, and the parent answers with a
//!   drain or with "stay up". A call that arrives in between withdraws the proposal and is served;
//! * after its first work, if it is for **single use**;
//! * when the **parent** asks for a drain, or is gone;
//! * on a **signal**; a second signal ends the process at once;
//! * when one of four timers expires that need nobody's consent: never connected (failsafe), parent
//!   lost for longer than the reconnect timeout, maximum lifetime, and the platform's own deadline.
//!
//! A runner that ends on its own account (signal, lifetime, platform) announces its drain and keeps
//! serving until the parent confirms that no more calls are on their way. So the race between a
//! call and the drain loses no call:
//!
//! ```text
//!   runner ── Draining ──▶ parent: leases the runner no more, waits for its open leases
//!   runner ◀── Drain ───── parent: no more calls will come; the runner rejects calls, and exits
//! ```
//!
//! # Invariants
//!
//! * [`Action::Exit`] is emitted exactly once, and nothing after it.
//! * Idleness and single use never abort work: their drains have no window and last until the work
//!   has ended. Every other drain has a window, which can only become shorter.
//! * At most one idle question (to the predicate or to the parent) is open at a time, withdrawn
//!   questions included. So an answer always belongs to the question that was asked last.
//! * Without further events the runner ends at most `shutdown` after the latest of failsafe,
//!   reconnect timeout and lifetime, unless it has no lifetime and its parent stays connected.
//! * Events that make no sense are ignored: an end without a start, an answer without a question,
//!   anything after the exit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flame_wire::message::EndReason;

pub(crate) use self::event::{Action, Config, Event};
use self::idle::{IdleNegotiation, IdleQuestion};
use self::timers::{Timer, Timers};
use crate::exit_code::{
    EXIT_NEVER_CONNECTED, EXIT_OK, EXIT_PARENT_LOST, EXIT_SIGNAL_BASE, EXIT_WORK_ABORTED,
};

mod event;
mod idle;
#[cfg(test)]
mod tests;
mod timers;

/// How far a runner is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminatorPhase {
    /// The parent has not been reached yet.
    Connecting,
    /// Calls are served.
    Serving,
    /// The runner ends as soon as its work has ended and the parent sends no more.
    Draining,
    /// [`Action::Exit`] has been emitted.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    /// Never up yet.
    Dialling,
    /// Not up yet either, but the parent may already have admitted the runner.
    Greeting,
    Up,
    Lost,
    Closed,
}

/// The state machine; see the module's documentation.
#[derive(Debug)]
#[must_use]
pub(crate) struct Terminator {
    config: Config,
    phase: TerminatorPhase,
    link: LinkState,
    /// Calls in flight.
    calls: usize,
    /// A single-use runner has begun its one work.
    single_use_begun: bool,
    /// A signal was received: the next one ends the process at once.
    signalled: bool,
    /// Why the runner drains.
    reason: Option<EndReason>,
    /// The parent was told of the drain.
    announced: bool,
    /// The parent has confirmed that no more calls will come.
    released: bool,
    /// New calls are rejected.
    stopped_accepting: bool,
    idle: IdleNegotiation,
    timers: Timers,
    actions: VecDeque<Action>,
}

impl Terminator {
    /// A runner that starts at `now`. A limit too large for [`Instant`] is no limit.
    pub(crate) fn new(now: Instant, config: Config) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Failsafe, now.checked_add(config.failsafe));
        let lifetime = config.max_lifetime.and_then(|lifetime| now.checked_add(lifetime));
        timers.set(Timer::Lifetime, lifetime);
        let deadline = config.host_deadline;
        let drain_at = deadline.map(|deadline| host_drain_at(now, deadline, config.shutdown));
        timers.set(Timer::HostDeadline, drain_at);
        Self {
            phase: TerminatorPhase::Connecting,
            link: LinkState::Dialling,
            calls: 0,
            single_use_begun: false,
            signalled: false,
            reason: None,
            announced: false,
            released: false,
            stopped_accepting: false,
            idle: IdleNegotiation::new(config.idle, config.ask_predicate),
            timers,
            actions: VecDeque::new(),
            config,
        }
    }

    /// Takes in what happened at `now`.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        if self.phase == TerminatorPhase::Gone {
            return;
        }
        match event {
            Event::HelloSent => {
                if self.link == LinkState::Dialling {
                    self.link = LinkState::Greeting;
                }
            }
            Event::CodeOffered => self.code_offered(),
            Event::Connected => self.connected(now),
            Event::Disconnected => self.disconnected(now),
            Event::LinkClosed => self.link_closed(),
            Event::CallStarted => self.call_started(),
            Event::CallEnded => self.call_ended(now),
            Event::PredicateSays(may_end) => {
                let question = self.idle.predicate_says(now, may_end);
                self.ask(question);
            }
            Event::StayUp { again_in } => self.idle.stay_up(now, again_in),
            Event::DrainRequested { within } => self.drain_requested(now, within),
            Event::Signal(signal) => self.signal(now, signal),
        }
        self.set_idle_timer();
    }

    /// The next thing to do, if any. Nothing follows [`Action::Exit`].
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Terminator::handle_timeout`], unless an event comes first.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == TerminatorPhase::Gone { None } else { self.timers.next() }
    }

    /// Fires the timers that are due at `now`. Early calls are harmless.
    ///
    /// Timers that end the runner come before those that begin a drain. So a process that was
    /// stopped for a long time, and wakes with several timers due, takes the fastest way to end.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == TerminatorPhase::Gone {
            return;
        }
        if self.timers.expire(Timer::Failsafe, now) || self.timers.expire(Timer::Reconnect, now) {
            return self.parent_lost();
        }
        // This timer is kept: the driver still asks for the window's end.
        if self.timers.is_due(Timer::Shutdown, now) {
            return self.window_over();
        }
        if self.timers.expire(Timer::HostDeadline, now) {
            // This also shortens a window that began earlier and would end later.
            self.drain(EndReason::HostDeadline, self.config.host_deadline);
        }
        if self.timers.expire(Timer::Lifetime, now) {
            let window = self.window(now, None);
            self.drain(EndReason::Lifetime, window);
        }
        self.set_idle_timer();
        if self.timers.is_due(Timer::Idle, now) {
            let question = self.idle.ask(now);
            self.ask(question);
            self.set_idle_timer();
        }
    }

    /// When a drain aborts the work that is still running; `None` without a drain that has a
    /// window.
    #[must_use]
    pub(crate) fn window_ends(&self) -> Option<Instant> {
        self.timers.get(Timer::Shutdown)
    }

    fn code_offered(&mut self) {
        if self.link == LinkState::Greeting {
            self.link = LinkState::Dialling;
            // The runner was told to end while it said hello. The program that it would become does
            // not know of that.
            if self.phase == TerminatorPhase::Draining && self.calls == 0 {
                self.exit(EXIT_OK, self.reason.unwrap_or(EndReason::DrainRequested));
            }
        }
    }

    fn connected(&mut self, now: Instant) {
        self.link = LinkState::Up;
        self.timers.stop(Timer::Failsafe);
        self.timers.stop(Timer::Reconnect);
        if self.phase == TerminatorPhase::Connecting {
            self.phase = TerminatorPhase::Serving;
            if self.calls == 0 {
                self.idle.work_ended(now);
            }
        }
        if self.phase == TerminatorPhase::Draining {
            self.announce();
        }
        self.leave_if_done();
    }

    fn disconnected(&mut self, now: Instant) {
        // Before the first connection a lost socket is a failed attempt: the failsafe limits those.
        if self.link == LinkState::Up {
            self.link = LinkState::Lost;
            let due = now.checked_add(self.config.reconnect_timeout);
            self.timers.set(Timer::Reconnect, due);
        }
    }

    fn link_closed(&mut self) {
        if self.phase == TerminatorPhase::Draining && self.calls == 0 {
            self.link = LinkState::Closed;
            self.leave(EXIT_OK);
        } else {
            self.parent_lost();
        }
    }

    fn call_started(&mut self) {
        self.calls = self.calls.saturating_add(1);
        self.idle.work_began();
        if self.config.single_use && !self.single_use_begun {
            self.single_use_begun = true;
            self.stop_accepting();
        }
    }

    fn call_ended(&mut self, now: Instant) {
        if self.calls == 0 {
            return;
        }
        self.calls -= 1;
        if self.calls > 0 {
            return;
        }
        if self.single_use_begun && self.phase != TerminatorPhase::Draining {
            self.released = true;
            self.drain(EndReason::SingleUse, None);
        } else {
            self.idle.work_ended(now);
            self.leave_if_done();
        }
    }

    fn ask(&mut self, question: Option<IdleQuestion>) {
        self.actions.extend(question.map(|question| match question {
            IdleQuestion::Predicate => Action::AskPredicate,
            IdleQuestion::Parent { idle_for } => Action::ProposeIdle { idle_for },
        }));
    }

    /// An idle question is due only while the runner serves and can receive the answer.
    fn set_idle_timer(&mut self) {
        let may_ask = self.phase == TerminatorPhase::Serving && self.link == LinkState::Up;
        let due = if may_ask { self.idle.due() } else { None };
        self.timers.set(Timer::Idle, due);
    }

    fn drain_requested(&mut self, now: Instant, within: Option<Duration>) {
        self.released = true;
        if self.calls == 0 && self.idle.proposal_allowed() {
            self.drain(EndReason::Idle, None);
        } else {
            let window = self.window(now, within);
            self.drain(EndReason::DrainRequested, window);
        }
    }

    fn signal(&mut self, now: Instant, signal: i32) {
        let reason = EndReason::Signal(signal);
        if std::mem::replace(&mut self.signalled, true) {
            self.fail_remaining();
            self.exit(EXIT_SIGNAL_BASE.saturating_add(signal), reason);
        } else {
            let window = self.window(now, self.config.after_signal);
            self.drain(reason, window);
        }
    }

    /// The end of a drain's window: `within`, but at most the configured window.
    fn window(&self, now: Instant, within: Option<Duration>) -> Option<Instant> {
        let limit = self.config.shutdown;
        now.checked_add(within.map_or(limit, |within| within.min(limit)))
    }

    /// Begins a drain, or shortens the one under way. Without a window it waits for its work.
    fn drain(&mut self, reason: EndReason, window: Option<Instant>) {
        let shorter = window.is_some_and(|new| self.window_ends().is_none_or(|old| new < old));
        if shorter {
            self.timers.set(Timer::Shutdown, window);
        }
        // The shortest window decides which work is aborted, so its reason is the one to report.
        if shorter || self.reason.is_none() {
            self.reason = Some(reason);
        }
        match self.phase {
            // The parent does not know this runner, and there is no link to say goodbye on.
            TerminatorPhase::Connecting if self.calls == 0 && self.link == LinkState::Dialling => {
                self.exit(EXIT_OK, reason);
            }
            TerminatorPhase::Connecting | TerminatorPhase::Serving => {
                self.phase = TerminatorPhase::Draining;
                self.idle.stop();
                self.stop_accepting_if_released();
                if self.link != LinkState::Greeting {
                    self.announce();
                }
                self.leave_if_done();
            }
            TerminatorPhase::Draining => {
                self.stop_accepting_if_released();
                self.leave_if_done();
            }
            TerminatorPhase::Gone => {}
        }
    }

    fn announce(&mut self) {
        if let Some(reason) = self.reason
            && !std::mem::replace(&mut self.announced, true)
        {
            self.actions.push_back(Action::AnnounceDraining(reason));
        }
    }

    fn stop_accepting_if_released(&mut self) {
        if self.released {
            self.stop_accepting();
        }
    }

    fn stop_accepting(&mut self) {
        if !std::mem::replace(&mut self.stopped_accepting, true) {
            self.actions.push_back(Action::StopAccepting);
        }
    }

    /// Leaves once a drain has nothing left to wait for. While the link is lost, its replay queue
    /// may still contain answers: the runner waits for the parent to reconnect, within the
    /// reconnect timeout and the window.
    fn leave_if_done(&mut self) {
        let done = self.released && self.calls == 0;
        if self.phase == TerminatorPhase::Draining && done && self.link == LinkState::Up {
            self.leave(EXIT_OK);
        }
    }

    fn window_over(&mut self) {
        let code = if self.calls > 0 { EXIT_WORK_ABORTED } else { EXIT_OK };
        self.stop_accepting();
        self.fail_remaining();
        self.leave(code);
    }

    /// The last step of a drain: says goodbye if there is a link, and exits.
    fn leave(&mut self, code: i32) {
        let reason = self.reason.unwrap_or(EndReason::DrainRequested);
        if matches!(self.link, LinkState::Up | LinkState::Lost) {
            self.actions.push_back(Action::SayGoodbye(reason));
        }
        self.exit(code, reason);
    }

    /// The parent was never reached, or is gone: nobody waits for the work in flight.
    fn parent_lost(&mut self) {
        self.fail_remaining();
        if matches!(self.link, LinkState::Dialling | LinkState::Greeting) {
            self.exit(EXIT_NEVER_CONNECTED, EndReason::NeverConnected);
        } else {
            self.exit(EXIT_PARENT_LOST, EndReason::ParentLost);
        }
    }

    fn fail_remaining(&mut self) {
        if self.calls > 0 {
            self.actions.push_back(Action::FailRemaining);
        }
    }

    fn exit(&mut self, code: i32, reason: EndReason) {
        self.phase = TerminatorPhase::Gone;
        self.actions.push_back(Action::Exit { code, reason });
    }
}

/// When to begin the drain that has to be over by `deadline`: one shutdown window before it, but
/// not in the first half of the remaining time. A host that lives for less than the window would
/// otherwise serve no calls.
fn host_drain_at(now: Instant, deadline: Instant, shutdown: Duration) -> Instant {
    let left = deadline.saturating_duration_since(now);
    // `left` came from two instants, so this sum lies between them.
    now + left.saturating_sub(shutdown).max(left / 2)
}
