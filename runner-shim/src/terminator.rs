//! When a runner ends, decided without a clock, a task or a socket.
//!
//! ```text
//!                 Connected                 a reason to go             nothing in flight,
//!   Connecting ───────────────▶ Serving ─────────────────▶ Draining ── or the window is over ──▶ Gone
//!       │ failsafe, signal         │ parent lost beyond the grace │
//!       └──────────────────────────┴──────────────────────────────┴────────────────────────────▶ Gone
//! ```
//!
//! The driver tells the terminator what happens ([`Event`]) and when its next timer is due, and
//! carries out what it answers ([`Action`]), in order. `now` is an argument everywhere; timers are
//! data, and the earliest of them is [`Terminator::poll_timeout`].
//!
//! A runner is ended by
//! * **idleness**, in two phases: the runner proposes, the parent answers drain or stay up. A call
//!   that arrives in between withdraws the proposal and is served;
//! * **single use**: its first work has ended;
//! * **the parent**: it asks for a drain, or it has gone;
//! * **a signal**, the second of which ends the process at once;
//! * four timers that ask nobody: never connected (failsafe), parent lost beyond the grace,
//!   absolute lifetime, and the platform's own deadline.
//!
//! A runner that goes by its own account (signal, lifetime, platform) asks the parent to let it go,
//! and serves what it is sent until the parent says so: then nothing more is on its way, and no
//! call is lost to the race.
//!
//! ```text
//!   runner ── Draining ──▶ parent: leases it no more, waits for the leases that are out
//!   runner ◀── Drain ───── parent: nothing more comes; the runner refuses calls, and leaves
//! ```
//!
//! # Invariants
//!
//! * [`Action::Exit`] is emitted exactly once, and nothing after it.
//! * Idleness and single use never abort work: such a drain has no window, it lasts as long as the
//!   work does. Every other drain has one, which only ever gets shorter.
//! * At most one idle question (predicate or proposal) is open at a time, withdrawn ones included,
//!   so an answer always belongs to the question that was asked last.
//! * Without further events it ends at most `shutdown` after the latest of failsafe, grace and
//!   lifetime (unless it has no lifetime and its parent stays connected).
//! * Events that make no sense (an end without a start, an answer nobody asked for, anything after
//!   the exit) are ignored.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flame_wire::message::EndReason;

use self::idle::{Idle, Question};

mod idle;
#[cfg(test)]
mod tests;

/// Exit code: the runner ended as it should, and cut no work off.
pub const EXIT_OK: i32 = 0;
/// Exit code: the failsafe ran out before the parent was ever reached.
pub const EXIT_NEVER_CONNECTED: i32 = 81;
/// Exit code: the parent was gone, or lost for longer than the grace.
pub const EXIT_PARENT_LOST: i32 = 82;
/// Exit code: the shutdown window ran out and work in flight was aborted.
pub const EXIT_WORK_ABORTED: i32 = 83;
/// Exit code of a runner that a second signal ended at once: this plus the signal's number, as a
/// shell reports it (SIGINT 130, SIGTERM 143).
pub const EXIT_SIGNAL_BASE: i32 = 128;

/// The limits of one runner's life, fixed at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the parent may take to be reached for the first time.
    pub failsafe: Duration,
    /// How long a lost link may take to be resumed.
    pub reconnect_timeout: Duration,
    /// How long a runner without work waits before it proposes to go; `None`: it never does.
    pub idle: Option<Duration>,
    /// Whether an idle predicate has to agree before the runner proposes to go.
    pub ask_predicate: bool,
    /// The longest life from start to drain; `None`: no limit.
    pub max_lifetime: Option<Duration>,
    /// When the runner must be gone: the platform's deadline with the margin already taken off.
    pub host_deadline: Option<Instant>,
    /// How long work in flight may go on once a drain has begun.
    pub shutdown: Duration,
    /// The same after a signal, where the platform kills what has not gone soon after one; at most
    /// `shutdown` counts. `None`: as any other drain.
    pub after_signal: Option<Duration>,
    /// Whether the runner goes after its first work.
    pub single_use: bool,
}

/// What a driver tells the terminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first hello goes out: from here on the parent may count on this runner.
    HelloSent,
    /// The parent has not let this runner in, but offers it another executable to come back as:
    /// nobody counts on it.
    CodeOffered,
    /// The link to the parent stands: for the first time, or resumed.
    Connected,
    /// The socket was lost; the link may be resumed within the grace.
    Disconnected,
    /// The link is over for good: the parent said goodbye, or refused to resume.
    LinkClosed,
    /// A call, cast, stream or placed child began.
    CallStarted,
    /// It ended: the answer has been handed to the link, or the call was cancelled and is gone.
    CallEnded,
    /// A held value (or anything else that must keep the runner) came to life. It counts as work.
    HoldStarted,
    /// It was dropped.
    HoldEnded,
    /// The idle predicate has answered [`Action::AskPredicate`]: may the runner go?
    PredicateSays(bool),
    /// The parent let an idle proposal pass into a drain.
    IdleAllowed,
    /// The parent wants the runner to stay, and not to be asked again for `again_in` (default: the
    /// idle limit).
    StayUp {
        /// When the next proposal may come.
        again_in: Option<Duration>,
    },
    /// The parent asks for a drain. The wire has one message for this and for [`Event::IdleAllowed`]:
    /// a driver that can't tell them apart hands this one over, and a runner without work whose
    /// proposal is open takes it for its answer.
    DrainRequested {
        /// The parent's window for work in flight; at most [`Limits::shutdown`].
        within: Option<Duration>,
    },
    /// The process got a signal that asks it to end. The second one ends it at once.
    Signal(i32),
}

/// What the driver must do, in the order in which it was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Action {
    /// Ask the idle predicate and answer with [`Event::PredicateSays`]; bound the time it may take.
    AskPredicate,
    /// Propose to the parent to end this runner, which has been without work for `idle_for`.
    ProposeIdle {
        /// Time since the last work ended, or since the link first stood.
        idle_for: Duration,
    },
    /// Answer new calls with [`flame_wire::failure::CallFailure::Draining`] from here on.
    RefuseNewCalls,
    /// Tell the parent that this runner takes no more work. At most once.
    AnnounceDraining(EndReason),
    /// Abort the work in flight and answer it with a failure.
    FailRemaining,
    /// Deliver what the channels of functions have accepted, tell the parent that this runner goes,
    /// and give the link a bounded time to write it out: what is left of
    /// [`Terminator::window_ends`], or one shutdown window.
    SayGoodbye(EndReason),
    /// End the host (`Host::shutdown`). The last action.
    Exit {
        /// One of the `EXIT_` codes.
        code: i32,
        /// Why the runner ends.
        reason: EndReason,
    },
}

/// Where a runner is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The parent has not been reached yet.
    Connecting,
    /// Calls are served.
    Serving,
    /// New calls are refused, those in flight go on.
    Draining,
    /// [`Action::Exit`] has been emitted.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    /// Never stood yet.
    Dialling,
    /// Not yet either, but the parent may have let the runner in.
    IncomingHello,
    Up,
    Lost,
    Closed,
}

/// The state machine; see the module's documentation.
#[derive(Debug)]
#[must_use]
pub struct Terminator {
    limits: Limits,
    phase: Phase,
    link: LinkState,
    /// Calls and holds, counted apart so that a stray end of one can't end the other.
    calls: usize,
    holds: usize,
    /// A single-use runner has begun its one work.
    spent: bool,
    /// A signal was seen: the next one ends the process at once.
    signalled: bool,
    /// Why the drain is under way.
    reason: Option<EndReason>,
    /// The parent was told of the drain.
    announced: bool,
    /// The parent knows of the drain, so nothing more comes from it.
    released: bool,
    /// New calls are refused.
    refusing: bool,
    idle: Idle,
    failsafe_at: Option<Instant>,
    grace_ends: Option<Instant>,
    lifetime_ends: Option<Instant>,
    host_drain_at: Option<Instant>,
    window_ends: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Terminator {
    /// A runner that starts at `now`. A limit too large for [`Instant`] is no limit.
    pub fn new(now: Instant, limits: Limits) -> Self {
        Self {
            phase: Phase::Connecting,
            link: LinkState::Dialling,
            calls: 0,
            holds: 0,
            spent: false,
            signalled: false,
            reason: None,
            announced: false,
            released: false,
            refusing: false,
            idle: Idle::new(limits.idle, limits.ask_predicate),
            failsafe_at: now.checked_add(limits.failsafe),
            grace_ends: None,
            lifetime_ends: limits.max_lifetime.and_then(|life| now.checked_add(life)),
            host_drain_at: limits.host_deadline.map(|end| host_drain_at(now, end, limits.shutdown)),
            window_ends: None,
            actions: VecDeque::new(),
            limits,
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, event: Event) {
        if self.phase == Phase::Gone {
            return;
        }
        match event {
            Event::HelloSent => {
                if self.link == LinkState::Dialling {
                    self.link = LinkState::IncomingHello;
                }
            }
            Event::CodeOffered => self.code_offered(),
            Event::Connected => self.connected(now),
            Event::Disconnected => self.disconnected(now),
            Event::LinkClosed => self.link_closed(),
            Event::CallStarted => self.work_started(|this| &mut this.calls),
            Event::HoldStarted => self.work_started(|this| &mut this.holds),
            Event::CallEnded => self.work_ended(now, |this| &mut this.calls),
            Event::HoldEnded => self.work_ended(now, |this| &mut this.holds),
            Event::PredicateSays(may_go) => {
                let question = self.idle.predicate_says(now, may_go);
                self.ask(question);
            }
            Event::IdleAllowed => {
                if self.idle.proposal_allowed() {
                    self.released = true;
                    self.drain(EndReason::Idle, None);
                }
            }
            Event::StayUp { again_in } => self.idle.stay_up(now, again_in),
            Event::DrainRequested { within } => self.drain_requested(now, within),
            Event::Signal(signal) => self.signal(now, signal),
        }
    }

    /// The next thing to do, if any. Nothing follows [`Action::Exit`].
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Terminator::handle_timeout`] wants to be called, unless an event comes first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Gone {
            return None;
        }
        [
            self.failsafe_at,
            self.grace_ends,
            self.lifetime_ends,
            self.host_drain_at,
            self.window_ends,
            self.idle_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Fires the timers that are due at `now`. Early calls are harmless.
    ///
    /// Ends come before drains, so a process that was stopped for a long time and wakes with
    /// several timers due ends by the one that leaves the least to wait for.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Gone {
            return;
        }
        if take_due(&mut self.failsafe_at, now) || take_due(&mut self.grace_ends, now) {
            return self.parent_lost();
        }
        if self.window_ends.is_some_and(|end| end <= now) {
            return self.window_over();
        }
        if take_due(&mut self.host_drain_at, now) {
            // Also cuts a window that began earlier and would end later.
            self.drain(EndReason::HostDeadline, self.limits.host_deadline);
        }
        if take_due(&mut self.lifetime_ends, now) {
            let window = self.window(now, None);
            self.drain(EndReason::Lifetime, window);
        }
        if self.idle_due().is_some_and(|due| due <= now) {
            let question = self.idle.ask(now);
            self.ask(question);
        }
    }

    /// Where the runner is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When a drain that has a window cuts off what is left; `None` where none is under way.
    #[must_use]
    pub fn window_ends(&self) -> Option<Instant> {
        self.window_ends
    }

    /// Calls and holds in flight.
    #[must_use]
    pub fn work(&self) -> usize {
        self.calls.saturating_add(self.holds)
    }

    fn code_offered(&mut self) {
        if self.link == LinkState::IncomingHello {
            self.link = LinkState::Dialling;
            // It was told to end while it said hello. What it would become knows nothing of that.
            if self.phase == Phase::Draining && self.work() == 0 {
                self.exit(EXIT_OK, self.reason.unwrap_or(EndReason::DrainRequested));
            }
        }
    }

    fn connected(&mut self, now: Instant) {
        self.link = LinkState::Up;
        self.failsafe_at = None;
        self.grace_ends = None;
        if self.phase == Phase::Connecting {
            self.phase = Phase::Serving;
            if self.work() == 0 {
                self.idle.rest(now);
            }
        }
        if self.phase == Phase::Draining {
            self.announce();
        }
        self.leave_if_done();
    }

    fn disconnected(&mut self, now: Instant) {
        // Before the first connection a lost socket is a failed dial: the failsafe is its limit.
        if self.link == LinkState::Up {
            self.link = LinkState::Lost;
            self.grace_ends = now.checked_add(self.limits.reconnect_timeout);
        }
    }

    fn link_closed(&mut self) {
        if self.phase == Phase::Draining && self.work() == 0 {
            self.link = LinkState::Closed;
            self.leave(EXIT_OK);
        } else {
            self.parent_lost();
        }
    }

    fn work_started(&mut self, counter: impl Fn(&mut Self) -> &mut usize) {
        let count = counter(self);
        *count = count.saturating_add(1);
        self.idle.work();
        if self.limits.single_use && !self.spent {
            self.spent = true;
            self.refuse();
        }
    }

    fn work_ended(&mut self, now: Instant, counter: impl Fn(&mut Self) -> &mut usize) {
        let count = counter(self);
        if *count == 0 {
            return;
        }
        *count -= 1;
        if self.work() > 0 {
            return;
        }
        if self.spent && self.phase != Phase::Draining {
            self.released = true;
            self.drain(EndReason::SingleUse, None);
        } else {
            self.idle.rest(now);
            self.leave_if_done();
        }
    }

    fn ask(&mut self, question: Option<Question>) {
        self.actions.extend(question.map(|question| match question {
            Question::Predicate => Action::AskPredicate,
            Question::Parent { idle_for } => Action::ProposeIdle { idle_for },
        }));
    }

    /// When the next idle question is due: only of a runner that serves and can be answered.
    fn idle_due(&self) -> Option<Instant> {
        if self.phase == Phase::Serving && self.link == LinkState::Up {
            self.idle.due()
        } else {
            None
        }
    }

    fn drain_requested(&mut self, now: Instant, within: Option<Duration>) {
        self.released = true;
        if self.work() == 0 && self.idle.proposal_allowed() {
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
            let window = self.window(now, self.limits.after_signal);
            self.drain(reason, window);
        }
    }

    /// The end of a drain's window: what was asked for, at most the limit.
    fn window(&self, now: Instant, within: Option<Duration>) -> Option<Instant> {
        let length = within.map_or(self.limits.shutdown, |asked| asked.min(self.limits.shutdown));
        now.checked_add(length)
    }

    /// Begins a drain, or tightens the one under way. Without a window it waits for its work.
    fn drain(&mut self, reason: EndReason, window: Option<Instant>) {
        let tighter = window.is_some_and(|new| self.window_ends.is_none_or(|old| new < old));
        if tighter {
            self.window_ends = window;
        }
        // Whatever may cut work off is the reason the parent should be told.
        if tighter || self.reason.is_none() {
            self.reason = Some(reason);
        }
        match self.phase {
            // Nobody knows of it, or is there to say goodbye to.
            Phase::Connecting if self.work() == 0 && self.link == LinkState::Dialling => {
                self.exit(EXIT_OK, reason);
            }
            Phase::Connecting | Phase::Serving => {
                self.phase = Phase::Draining;
                self.idle.stop();
                self.refuse_if_released();
                if self.link != LinkState::IncomingHello {
                    self.announce();
                }
                self.leave_if_done();
            }
            Phase::Draining => {
                self.refuse_if_released();
                self.leave_if_done();
            }
            Phase::Gone => {}
        }
    }

    fn announce(&mut self) {
        if let Some(reason) = self.reason
            && !std::mem::replace(&mut self.announced, true)
        {
            self.actions.push_back(Action::AnnounceDraining(reason));
        }
    }

    fn refuse_if_released(&mut self) {
        if self.released {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        if !std::mem::replace(&mut self.refusing, true) {
            self.actions.push_back(Action::RefuseNewCalls);
        }
    }

    /// Leaves once a drain has nothing left to wait for. With the link lost, answers may still wait
    /// in its replay queue: the runner stays for the parent's return, within grace and window.
    fn leave_if_done(&mut self) {
        let done = self.released && self.work() == 0;
        if self.phase == Phase::Draining && done && self.link == LinkState::Up {
            self.leave(EXIT_OK);
        }
    }

    fn window_over(&mut self) {
        let code = if self.work() > 0 { EXIT_WORK_ABORTED } else { EXIT_OK };
        self.refuse();
        self.fail_remaining();
        self.leave(code);
    }

    /// The last step of a drain: goodbye while there is someone to hear it, then out.
    fn leave(&mut self, code: i32) {
        let reason = self.reason.unwrap_or(EndReason::DrainRequested);
        if matches!(self.link, LinkState::Up | LinkState::Lost) {
            self.actions.push_back(Action::SayGoodbye(reason));
        }
        self.exit(code, reason);
    }

    /// The parent was never reached, or is gone: nobody waits for what is in flight.
    fn parent_lost(&mut self) {
        self.fail_remaining();
        if matches!(self.link, LinkState::Dialling | LinkState::IncomingHello) {
            self.exit(EXIT_NEVER_CONNECTED, EndReason::NeverConnected);
        } else {
            self.exit(EXIT_PARENT_LOST, EndReason::ParentLost);
        }
    }

    fn fail_remaining(&mut self) {
        if self.work() > 0 {
            self.actions.push_back(Action::FailRemaining);
        }
    }

    fn exit(&mut self, code: i32, reason: EndReason) {
        self.phase = Phase::Gone;
        self.actions.push_back(Action::Exit { code, reason });
    }
}

/// When to begin the drain that must be over by `end`: one shutdown window before, but not in the
/// first half of what is left. A host that lives shorter than the window would else serve nothing.
fn host_drain_at(now: Instant, end: Instant, shutdown: Duration) -> Instant {
    let left = end.saturating_duration_since(now);
    // `left` came from two instants, so this sum lies between them.
    now + left.saturating_sub(shutdown).max(left / 2)
}

/// Clears a timer that is due, and says so.
fn take_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    let due = timer.is_some_and(|at| at <= now);
    if due {
        *timer = None;
    }
    due
}
