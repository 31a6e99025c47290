//! A pool at a virtual clock, driven by small numbers in place of ids.

use std::time::{Duration, Instant};

use crate::pool::state::*;

pub(super) type TestFailure = &'static str;

/// The start of virtual time.
#[expect(clippy::disallowed_methods, reason = "an arbitrary origin; tests only add to it")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

pub(super) fn limits(max: u32, max_concurrency: u32) -> PoolLimits {
    PoolLimits {
        min: 0,
        max,
        max_concurrency,
        max_queue: 1_000,
        min_free_slots: 0,
        single_use: false,
        placement: Placement::Spread,
        min_idle_shutdown_after: None,
        boot_backoff: BootBackoff {
            first: ms(100),
            max: ms(1_600),
            breaker_after: 3,
            breaker_open: ms(10_000),
        },
        budget: None,
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The pool under test. Every step returns the actions of the pool; notes are collected separately.
pub(super) struct Sim {
    pub(super) pool: PoolState<TestFailure>,
    pub(super) now: Instant,
    pub(super) notes: Vec<Note<TestFailure>>,
    /// Whether a stopped runner is reported gone at once, and not only when the test says so.
    pub(super) stops_at_once: bool,
}

impl Sim {
    /// A started pool, without its first actions.
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self::start(limits).0
    }

    pub(super) fn start(limits: PoolLimits) -> (Self, Vec<Action<TestFailure>>) {
        Self::make(limits, None)
    }

    fn make(
        limits: PoolLimits,
        boots_blocked: Option<TestFailure>,
    ) -> (Self, Vec<Action<TestFailure>>) {
        let now = origin();
        let pool = PoolState::new(now, limits, 7, boots_blocked);
        let mut sim = Sim { pool, now, notes: Vec::new(), stops_at_once: true };
        let actions = sim.actions();
        (sim, actions)
    }

    /// A pool whose boots would all fail.
    pub(super) fn with_boots_blocked(
        limits: PoolLimits,
        why: TestFailure,
    ) -> (Self, Vec<Action<TestFailure>>) {
        Self::make(limits, Some(why))
    }

    /// A pool whose runners `0..runners` are up.
    pub(super) fn with_up(limits: PoolLimits, runners: u32) -> Self {
        let mut sim = Self::new(PoolLimits { min: runners, ..limits.clone() });
        for runner in 0..u64::from(runners) {
            sim.up(runner);
        }
        sim.resize(LimitsChange::new().min(limits.min));
        sim.notes.clear();
        sim
    }

    pub(super) fn event(&mut self, event: Event<TestFailure>) -> Vec<Action<TestFailure>> {
        self.pool.handle(self.now, event);
        self.actions()
    }

    pub(super) fn checkout(&mut self, waiter: u64) -> Vec<Action<TestFailure>> {
        let (waiter, deadline) = (WaiterId(waiter), None);
        self.event(Event::Checkout { waiter, deadline, bounds_work: false })
    }

    pub(super) fn checkout_within(&mut self, waiter: u64, ms: u64) -> Vec<Action<TestFailure>> {
        let deadline = Some(self.now + Duration::from_millis(ms));
        self.event(Event::Checkout { waiter: WaiterId(waiter), deadline, bounds_work: true })
    }

    pub(super) fn try_checkout(&mut self) -> (Option<(u64, u64)>, Vec<Action<TestFailure>>) {
        let leased = self.pool.try_checkout(self.now, None, false);
        (leased.map(|(runner, lease)| (runner.0, lease.0)), self.actions())
    }

    pub(super) fn try_checkout_within(
        &mut self,
        ms: u64,
    ) -> (Option<(u64, u64)>, Vec<Action<TestFailure>>) {
        let deadline = Some(self.now + Duration::from_millis(ms));
        let leased = self.pool.try_checkout(self.now, deadline, true);
        (leased.map(|(runner, lease)| (runner.0, lease.0)), self.actions())
    }

    pub(super) fn cancel(&mut self, waiter: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::CancelCheckout { waiter: WaiterId(waiter) })
    }

    pub(super) fn check_in(&mut self, lease: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::CheckIn { lease: LeaseId(lease) })
    }

    pub(super) fn up(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::RunnerUp { runner: RunnerId(runner), expires: None })
    }

    /// A runner comes up that expires after `ms`.
    pub(super) fn up_for(&mut self, runner: u64, ms: u64) -> Vec<Action<TestFailure>> {
        let expires = Some(self.now + Duration::from_millis(ms));
        self.event(Event::RunnerUp { runner: RunnerId(runner), expires })
    }

    pub(super) fn fail(&mut self, runner: u64, failure: TestFailure) -> Vec<Action<TestFailure>> {
        self.event(Event::BootFailed { runner: RunnerId(runner), failure })
    }

    pub(super) fn lose(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::RunnerLost { runner: RunnerId(runner) })
    }

    pub(super) fn announce(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::ShutdownAnnounced { runner: RunnerId(runner) })
    }

    pub(super) fn request_drain(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::DrainRequested { runner: RunnerId(runner) })
    }

    pub(super) fn request_stop(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::StopRequested { runner: RunnerId(runner) })
    }

    pub(super) fn idle(&mut self, runner: u64, ms: u64) -> Vec<Action<TestFailure>> {
        let idle_for = Duration::from_millis(ms);
        self.event(Event::IdleProposed { runner: RunnerId(runner), idle_for })
    }

    pub(super) fn gone(&mut self, runner: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::RunnerGone { runner: RunnerId(runner) })
    }

    pub(super) fn set_burst_calls(&mut self, calls: u64) -> Vec<Action<TestFailure>> {
        self.event(Event::BurstCalls { calls })
    }

    pub(super) fn availability(&self) -> SlotAvailability {
        self.pool.availability(self.now)
    }

    pub(super) fn resize(&mut self, change: LimitsChange) -> Vec<Action<TestFailure>> {
        self.event(Event::Resize { change })
    }

    pub(super) fn drain(&mut self) -> Vec<Action<TestFailure>> {
        self.event(Event::DrainPool)
    }

    /// Advances the clock, and calls the pool's timeout handler.
    pub(super) fn advance(&mut self, ms: u64) -> Vec<Action<TestFailure>> {
        self.now += Duration::from_millis(ms);
        self.pool.handle_timeout(self.now);
        self.actions()
    }

    /// Advances the clock to the pool's own timeout.
    pub(super) fn sleep(&mut self) -> Vec<Action<TestFailure>> {
        self.now = self.pool.poll_timeout().expect("the pool waits for time to pass");
        self.pool.handle_timeout(self.now);
        self.actions()
    }

    pub(super) fn growth(&self) -> Growth<TestFailure> {
        self.pool.explain(self.now).growth
    }

    fn actions(&mut self) -> Vec<Action<TestFailure>> {
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

pub(super) fn grant(waiter: u64, runner: u64, lease: u64) -> Action<TestFailure> {
    let (waiter, runner, lease) = (WaiterId(waiter), RunnerId(runner), LeaseId(lease));
    Action::Grant { waiter, runner, lease }
}

pub(super) fn reject(waiter: u64, error: CheckoutError<TestFailure>) -> Action<TestFailure> {
    Action::Reject { waiter: WaiterId(waiter), error }
}

pub(super) fn boot(runner: u64) -> Action<TestFailure> {
    Action::Boot { runner: RunnerId(runner) }
}

pub(super) fn stop(runner: u64) -> Action<TestFailure> {
    Action::Stop { runner: RunnerId(runner) }
}

pub(super) fn drain_runner(runner: u64) -> Action<TestFailure> {
    Action::DrainRunner { runner: RunnerId(runner) }
}

pub(super) fn stay_up(runner: u64, again_in: Option<u64>) -> Action<TestFailure> {
    Action::StayUp { runner: RunnerId(runner), again_in: again_in.map(Duration::from_millis) }
}

pub(super) fn boots(runners: std::ops::Range<u64>) -> Vec<Action<TestFailure>> {
    runners.map(boot).collect()
}

pub(super) fn timeout(
    phase: WaitPhase,
    last_failure: Option<TestFailure>,
) -> CheckoutError<TestFailure> {
    CheckoutError::Timeout { phase, last_failure }
}
