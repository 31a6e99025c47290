//! A pool at a virtual clock, told things by number.

use std::time::{Duration, Instant};

use crate::pool::state::*;

pub(super) type Failure = &'static str;

/// The start of virtual time.
#[expect(clippy::disallowed_methods, reason = "an arbitrary origin; tests only add to it")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

pub(super) fn limits(max: u32, max_concurrency: u32) -> Limits {
    Limits {
        min: 0,
        max,
        max_concurrency,
        max_queue: 1_000,
        min_free_slots: 0,
        single_use: false,
        placement: Placement::Spread,
        min_idle_shutdown_after: None,
        boot_backoff: Backoff {
            first: ms(100),
            max: ms(1_600),
            breaker_after: 3,
            breaker_open: ms(10_000),
        },
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The pool under test; every step returns what the pool asks for, notes apart.
pub(super) struct Sim {
    pub(super) pool: PoolState<Failure>,
    pub(super) now: Instant,
    pub(super) notes: Vec<Note<Failure>>,
    /// Whether what is stopped is gone at once, and not when a test says so.
    pub(super) stops_at_once: bool,
}

impl Sim {
    /// A started pool, its first actions dropped.
    pub(super) fn new(limits: Limits) -> Self {
        Self::start(limits).0
    }

    pub(super) fn start(limits: Limits) -> (Self, Vec<Action<Failure>>) {
        Self::make(limits, None)
    }

    fn make(limits: Limits, barred: Option<Failure>) -> (Self, Vec<Action<Failure>>) {
        let now = origin();
        let pool = PoolState::new(now, limits, 7, barred);
        let mut sim = Sim { pool, now, notes: Vec::new(), stops_at_once: true };
        let actions = sim.actions();
        (sim, actions)
    }

    /// A pool whose boots would all fail.
    pub(super) fn barred(limits: Limits, why: Failure) -> (Self, Vec<Action<Failure>>) {
        Self::make(limits, Some(why))
    }

    /// A pool whose runners `0..runners` are up.
    pub(super) fn with_up(limits: Limits, runners: u32) -> Self {
        let mut sim = Self::new(Limits { min: runners, ..limits.clone() });
        for runner in 0..u64::from(runners) {
            sim.up(runner);
        }
        sim.resize(LimitsChange { min: Some(limits.min), ..LimitsChange::default() });
        sim.notes.clear();
        sim
    }

    pub(super) fn event(&mut self, event: Event<Failure>) -> Vec<Action<Failure>> {
        self.pool.handle(self.now, event);
        self.actions()
    }

    pub(super) fn checkout(&mut self, waiter: u64) -> Vec<Action<Failure>> {
        let (waiter, deadline) = (WaiterId(waiter), None);
        self.event(Event::Checkout { waiter, deadline, bounded: false })
    }

    pub(super) fn checkout_within(&mut self, waiter: u64, ms: u64) -> Vec<Action<Failure>> {
        let deadline = Some(self.now + Duration::from_millis(ms));
        self.event(Event::Checkout { waiter: WaiterId(waiter), deadline, bounded: true })
    }

    pub(super) fn cancel(&mut self, waiter: u64) -> Vec<Action<Failure>> {
        self.event(Event::CancelCheckout { waiter: WaiterId(waiter) })
    }

    pub(super) fn check_in(&mut self, lease: u64) -> Vec<Action<Failure>> {
        self.event(Event::CheckIn { lease: LeaseId(lease) })
    }

    pub(super) fn up(&mut self, runner: u64) -> Vec<Action<Failure>> {
        self.event(Event::RunnerUp { runner: RunnerId(runner), expires: None })
    }

    /// A runner that its platform ends after that long.
    pub(super) fn up_for(&mut self, runner: u64, ms: u64) -> Vec<Action<Failure>> {
        let expires = Some(self.now + Duration::from_millis(ms));
        self.event(Event::RunnerUp { runner: RunnerId(runner), expires })
    }

    pub(super) fn fail(&mut self, runner: u64, failure: Failure) -> Vec<Action<Failure>> {
        self.event(Event::BootFailed { runner: RunnerId(runner), failure })
    }

    pub(super) fn lose(&mut self, runner: u64) -> Vec<Action<Failure>> {
        self.event(Event::RunnerLost { runner: RunnerId(runner) })
    }

    pub(super) fn announce(&mut self, runner: u64) -> Vec<Action<Failure>> {
        self.event(Event::RunnerDraining { runner: RunnerId(runner) })
    }

    pub(super) fn idle(&mut self, runner: u64, ms: u64) -> Vec<Action<Failure>> {
        let idle_for = Duration::from_millis(ms);
        self.event(Event::IdleProposed { runner: RunnerId(runner), idle_for })
    }

    pub(super) fn gone(&mut self, runner: u64) -> Vec<Action<Failure>> {
        self.event(Event::RunnerGone { runner: RunnerId(runner) })
    }

    pub(super) fn elsewhere(&mut self, calls: u64) -> Vec<Action<Failure>> {
        self.event(Event::Elsewhere { calls })
    }

    pub(super) fn room(&self) -> Room {
        self.pool.room(self.now)
    }

    pub(super) fn resize(&mut self, change: LimitsChange) -> Vec<Action<Failure>> {
        self.event(Event::Resize { change })
    }

    pub(super) fn drain(&mut self) -> Vec<Action<Failure>> {
        self.event(Event::Drain)
    }

    /// Moves the clock, and lets the pool know.
    pub(super) fn advance(&mut self, ms: u64) -> Vec<Action<Failure>> {
        self.now += Duration::from_millis(ms);
        self.pool.handle_timeout(self.now);
        self.actions()
    }

    /// Moves the clock to the pool's own timeout.
    pub(super) fn sleep(&mut self) -> Vec<Action<Failure>> {
        self.now = self.pool.poll_timeout().expect("the pool waits for time to pass");
        self.pool.handle_timeout(self.now);
        self.actions()
    }

    pub(super) fn growth(&self) -> Growth<Failure> {
        self.pool.explain(self.now).growth
    }

    fn actions(&mut self) -> Vec<Action<Failure>> {
        let mut rest = Vec::new();
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Note(note) => self.notes.push(note),
                Action::Stop { runner } if self.stops_at_once => {
                    rest.push(action);
                    self.pool.handle(self.now, Event::RunnerGone { runner });
                }
                action => rest.push(action),
            }
        }
        rest
    }
}

pub(super) fn grant(waiter: u64, runner: u64, lease: u64) -> Action<Failure> {
    let (waiter, runner, lease) = (WaiterId(waiter), RunnerId(runner), LeaseId(lease));
    Action::Grant { waiter, runner, lease }
}

pub(super) fn refuse(waiter: u64, error: Refusal<Failure>) -> Action<Failure> {
    Action::Refuse { waiter: WaiterId(waiter), error }
}

pub(super) fn boot(runner: u64) -> Action<Failure> {
    Action::Boot { runner: RunnerId(runner) }
}

pub(super) fn stop(runner: u64) -> Action<Failure> {
    Action::Stop { runner: RunnerId(runner) }
}

pub(super) fn drain_runner(runner: u64) -> Action<Failure> {
    Action::DrainRunner { runner: RunnerId(runner) }
}

pub(super) fn stay_up(runner: u64, again_in: Option<u64>) -> Action<Failure> {
    Action::StayUp { runner: RunnerId(runner), again_in: again_in.map(Duration::from_millis) }
}

pub(super) fn boots(runners: std::ops::Range<u64>) -> Vec<Action<Failure>> {
    runners.map(boot).collect()
}

pub(super) fn timeout(phase: WaitPhase, last_failure: Option<Failure>) -> Refusal<Failure> {
    Refusal::Timeout { phase, last_failure }
}
