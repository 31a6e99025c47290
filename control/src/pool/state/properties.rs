//! Random histories: events in any order, late, twice, or about runners that don't exist. Each
//! invariant of the pool holds after every step. When boots then come up and calls complete, every
//! waiter is answered, `min` is kept, and nothing is left once the pool has drained.

use std::time::Duration;

use proptest::prelude::*;

use super::model::*;
use super::tests::sim::origin;
use super::*;

/// The target of an event: usually one that the event applies to, sometimes anything that ever
/// existed, or nothing.
#[derive(Clone, Copy, Debug)]
struct EventTarget {
    stray: bool,
    nth: usize,
}

#[derive(Clone, Debug)]
enum HistoryStep {
    /// Waits until the deadline, for work that it may bound.
    Checkout {
        within: Option<u64>,
        bounds_work: bool,
    },
    /// The same, but does not wait.
    TryCheckout {
        within: Option<u64>,
        bounds_work: bool,
    },
    CheckoutAgain(EventTarget),
    Cancel(EventTarget),
    CheckIn(EventTarget),
    /// Comes up, and lives that long.
    Up(EventTarget, Option<u64>),
    Fail(EventTarget),
    Lose(EventTarget),
    AnnounceShutdown(EventTarget),
    RequestDrain(EventTarget),
    RequestStop(EventTarget),
    Idle(EventTarget, u64),
    Gone(EventTarget),
    BurstCalls(u64),
    UnblockBoots,
    Resize(LimitsChange),
    Drain,
    /// Time passes, and the driver's timer fires, maybe late.
    Advance(u64),
    /// Time passes, and the driver's timer has not fired before the next event.
    Oversleep(u64),
    /// The driver's timer fires on time.
    Sleep,
}

fn target() -> impl Strategy<Value = EventTarget> {
    (prop::bool::weighted(0.1), 0..64_usize).prop_map(|(stray, nth)| EventTarget { stray, nth })
}

fn step() -> impl Strategy<Value = HistoryStep> {
    prop_oneof![
        24 => (prop::option::of(0..60_u64), any::<bool>())
            .prop_map(|(within, bounds_work)| HistoryStep::Checkout { within, bounds_work }),
        6 => (prop::option::of(0..60_u64), any::<bool>())
            .prop_map(|(within, bounds_work)| HistoryStep::TryCheckout { within, bounds_work }),
        1 => target().prop_map(HistoryStep::CheckoutAgain),
        4 => target().prop_map(HistoryStep::Cancel),
        14 => target().prop_map(HistoryStep::CheckIn),
        12 => (target(), prop::option::of(0..200_u64)).prop_map(|(target, life)| HistoryStep::Up(target, life)),
        6 => target().prop_map(HistoryStep::Fail),
        3 => target().prop_map(HistoryStep::Lose),
        2 => target().prop_map(HistoryStep::AnnounceShutdown),
        2 => target().prop_map(HistoryStep::RequestDrain),
        2 => target().prop_map(HistoryStep::RequestStop),
        6 => (target(), 0..80_u64).prop_map(|(target, idle)| HistoryStep::Idle(target, idle)),
        6 => target().prop_map(HistoryStep::Gone),
        2 => (0..5_u64).prop_map(HistoryStep::BurstCalls),
        1 => Just(HistoryStep::UnblockBoots),
        2 => change().prop_map(HistoryStep::Resize),
        1 => prop::bool::weighted(0.2).prop_map(|now| {
            if now { HistoryStep::Drain } else { HistoryStep::Sleep }
        }),
        8 => (0..30_u64).prop_map(HistoryStep::Advance),
        3 => (0..30_u64).prop_map(HistoryStep::Oversleep),
        5 => Just(HistoryStep::Sleep),
    ]
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![Just(Placement::Spread), Just(Placement::Pack)]
}

fn min_and_max() -> impl Strategy<Value = (u32, u32)> {
    (1..6_u32).prop_flat_map(|max| (0..=max, Just(max)))
}

fn min_idle() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((1..60_u64).prop_map(Duration::from_millis))
}

fn change() -> impl Strategy<Value = LimitsChange> {
    let sizes = prop::option::of(min_and_max());
    let each = (1..4_u32, 1..8_usize, 0..4_u32, placement(), min_idle());
    let each = (prop::option::of(each), sizes);
    each.prop_map(|(each, sizes)| {
        let mut change = LimitsChange::new();
        if let Some((min, max)) = sizes {
            change = change.min(min).max(max);
        }
        if let Some((calls, queue, free, placement, min_idle)) = each {
            let min_idle = min_idle.map_or(Idle::Never, Idle::After);
            change = change.max_concurrency(calls).max_queue(queue).min_free_slots(free);
            change = change.placement(placement).min_idle_shutdown_after(min_idle);
        }
        change
    })
}

fn limits() -> impl Strategy<Value = PoolLimits> {
    let backoff = (1..20_u64, 0..200_u64, 1..4_u32, 1..200_u64);
    let backoff = backoff.prop_map(|(first, more, breaker_after, open)| BootBackoff {
        first: Duration::from_millis(first),
        max: Duration::from_millis(first + more),
        breaker_after,
        breaker_open: Duration::from_millis(open),
    });
    let min_free_slots = prop_oneof![3 => Just(0), 1 => 1..4_u32];
    let single_use = prop::bool::weighted(0.25);
    let shape = (min_and_max(), 1..4_u32, 1..8_usize, min_free_slots, single_use, placement());
    let budget = (1..7_u32, any::<bool>());
    let budget = budget.prop_map(|(runners, refuses)| BudgetLimit { runners, refuses });
    let budget = prop::option::weighted(0.4, budget);
    (shape, min_idle(), backoff, budget).prop_map(|(shape, idle, boot_backoff, budget)| {
        let min_idle_shutdown_after = idle;
        let ((min, max), max_concurrency, max_queue, min_free_slots, single_use, placement) = shape;
        PoolLimits {
            min,
            max,
            max_concurrency,
            max_queue,
            min_free_slots,
            single_use,
            placement,
            min_idle_shutdown_after,
            boot_backoff,
            budget,
        }
    })
}

/// A pool, and its model beside it.
struct History {
    pool: PoolState<TestFailure>,
    model: Model,
    now: Instant,
    waiters: u64,
    leases: u64,
    failures: u64,
}

impl History {
    /// One history in four begins with boots blocked.
    fn start(limits: PoolLimits, seed: u64) -> Self {
        let now = origin();
        let boots_blocked = seed.is_multiple_of(4).then_some(0);
        let pool = PoolState::new(now, limits.clone(), seed, boots_blocked);
        let model = Model::new(now, limits, boots_blocked.is_some());
        let mut history = History { pool, model, now, waiters: 0, leases: 0, failures: 0 };
        history.observe();
        history
    }

    fn event(&mut self, event: Event<TestFailure>) {
        self.model.record_event(self.now, Some(&event));
        self.pool.handle(self.now, event);
        self.observe();
    }

    fn timeout(&mut self) {
        self.model.record_event(self.now, None);
        self.pool.handle_timeout(self.now);
        self.observe();
    }

    fn observe(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            if let Action::Grant { lease, .. } = action {
                self.leases = self.leases.max(lease.0 + 1);
            }
            self.model.record_action(&action);
        }
        self.model.check_at_rest(&self.pool);
    }

    fn runner(&self, target: EventTarget, fits: impl Fn(&ModelRunner) -> bool) -> RunnerId {
        let fitting = self.model.runners.iter().filter(|(_, runner)| fits(runner));
        let fitting: Vec<_> = fitting.map(|(&id, _)| id).collect();
        if target.stray || fitting.is_empty() {
            RunnerId((target.nth % (self.model.booted.len() + 1)) as u64)
        } else {
            fitting[target.nth % fitting.len()]
        }
    }

    fn lease(&self, target: EventTarget) -> LeaseId {
        let held = self.model.runners.values().flat_map(|runner| &runner.leases);
        let held: Vec<_> = held.copied().collect();
        if target.stray || held.is_empty() {
            LeaseId(target.nth as u64 % (self.leases + 1))
        } else {
            held[target.nth % held.len()]
        }
    }

    fn waiter(&self, target: EventTarget) -> WaiterId {
        match self.model.waiting.len() {
            len if target.stray || len == 0 => WaiterId(target.nth as u64 % (self.waiters + 1)),
            len => self.model.waiting[target.nth % len].0,
        }
    }

    fn checkout(&mut self, within: Option<u64>, bounds_work: bool) {
        let waiter = WaiterId(self.waiters);
        self.waiters += 1;
        let deadline = self.after(within);
        self.event(Event::Checkout { waiter, deadline, bounds_work });
    }

    fn try_checkout(&mut self, within: Option<u64>, bounds_work: bool) {
        let waiter = WaiterId(self.waiters);
        self.waiters += 1;
        let deadline = self.after(within);
        let checkout = Event::Checkout { waiter, deadline, bounds_work };
        self.model.record_event(self.now, Some(&checkout));
        let leased = self.pool.try_checkout(self.now, deadline, bounds_work);
        if let Some((_, lease)) = leased {
            self.leases = self.leases.max(lease.0 + 1);
        }
        let mut answer = Some(leased);
        while let Some(action) = self.pool.poll_action() {
            // The pool leases the slot before it looks at its size.
            if matches!(action, Action::Boot { .. })
                && let Some(leased) = answer.take()
            {
                self.model.record_try_checkout(waiter, leased);
            }
            self.model.record_action(&action);
        }
        if let Some(leased) = answer {
            self.model.record_try_checkout(waiter, leased);
        }
        self.model.check_at_rest(&self.pool);
    }

    fn after(&self, ms: Option<u64>) -> Option<Instant> {
        ms.map(|ms| self.now + Duration::from_millis(ms))
    }

    fn sleep(&mut self) {
        if let Some(at) = self.pool.poll_timeout() {
            self.now = self.now.max(at);
            self.timeout();
        }
    }

    fn step(&mut self, step: HistoryStep) {
        match step {
            HistoryStep::Checkout { within, bounds_work } => self.checkout(within, bounds_work),
            HistoryStep::TryCheckout { within, bounds_work } => {
                self.try_checkout(within, bounds_work);
            }
            HistoryStep::CheckoutAgain(target) => {
                let waits = |at: Option<Instant>| at.is_none_or(|at| at > self.now);
                let waiting = self.model.waiting.iter().filter(|&&(_, at)| waits(at));
                let waiting: Vec<_> = waiting.map(|&(waiter, _)| waiter).collect();
                if let Some(&waiter) = waiting.get(target.nth % waiting.len().max(1)) {
                    self.event(Event::Checkout { waiter, deadline: None, bounds_work: false });
                }
            }
            HistoryStep::Cancel(target) => {
                let waiter = self.waiter(target);
                self.event(Event::CancelCheckout { waiter });
            }
            HistoryStep::CheckIn(target) => {
                let lease = self.lease(target);
                self.event(Event::CheckIn { lease });
            }
            HistoryStep::Up(target, life) => {
                let runner = self.runner(target, |runner| runner.phase == ModelPhase::Booting);
                let expires = self.after(life);
                self.event(Event::RunnerUp { runner, expires });
            }
            HistoryStep::Fail(target) => {
                let runner = self.runner(target, |runner| runner.phase == ModelPhase::Booting);
                self.failures += 1;
                self.event(Event::BootFailed { runner, failure: self.failures });
            }
            HistoryStep::Lose(target) => {
                let runner = self.runner(target, |_| true);
                self.event(Event::RunnerLost { runner });
            }
            HistoryStep::AnnounceShutdown(target) => {
                let runner = self.runner(target, |runner| runner.phase == ModelPhase::Up);
                self.event(Event::ShutdownAnnounced { runner });
            }
            HistoryStep::RequestDrain(target) => {
                let runner = self.runner(target, |_| true);
                self.event(Event::DrainRequested { runner });
            }
            HistoryStep::RequestStop(target) => {
                let runner = self.runner(target, |_| true);
                self.event(Event::StopRequested { runner });
            }
            HistoryStep::Idle(target, idle) => {
                let runner = self.runner(target, |runner| runner.leases.is_empty());
                let idle_for = Duration::from_millis(idle);
                self.event(Event::IdleProposed { runner, idle_for });
            }
            HistoryStep::Gone(target) => {
                let exits = |runner: &ModelRunner| {
                    matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping)
                };
                let runner = self.runner(target, exits);
                self.event(Event::RunnerGone { runner });
            }
            HistoryStep::BurstCalls(calls) => self.event(Event::BurstCalls { calls }),
            HistoryStep::UnblockBoots => self.event(Event::UnblockBoots),
            HistoryStep::Resize(change) => self.event(Event::Resize { change }),
            HistoryStep::Drain => self.event(Event::DrainPool),
            HistoryStep::Advance(ms) => {
                self.now += Duration::from_millis(ms);
                self.timeout();
            }
            HistoryStep::Oversleep(ms) => self.now += Duration::from_millis(ms),
            HistoryStep::Sleep => self.sleep(),
        }
    }

    /// Lets boots come up, calls complete, draining and stopped runners exit and time pass, until
    /// nothing is left to happen. If the pool never comes to rest, that is a violation.
    fn run_to_rest(&mut self) {
        for _ in 0..1_000 {
            let is = |phase| move |(_, runner): &(&RunnerId, &ModelRunner)| runner.phase == phase;
            let runners = &self.model.runners;
            let lease = runners.values().find_map(|runner| runner.leases.first().copied());
            let exits = |(_, runner): &(&RunnerId, &ModelRunner)| {
                matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping)
            };
            let exiting = runners.iter().find(exits).map(|(&id, _)| id);
            let booting = runners.iter().find(is(ModelPhase::Booting)).map(|(&id, _)| id);
            if let Some(lease) = lease {
                self.event(Event::CheckIn { lease });
            } else if let Some(runner) = exiting {
                self.event(Event::RunnerGone { runner });
            } else if let Some(runner) = booting {
                self.event(Event::RunnerUp { runner, expires: None });
            } else if self.pool.poll_timeout().is_some() {
                self.sleep();
            } else {
                return;
            }
        }
        let endless =
            "boots come up and calls complete, and the pool never comes to rest".to_owned();
        self.model.violations.push((Invariant::GrowthOrReason, endless));
    }

    /// Runs a whole history and returns the violations.
    fn violations(limits: PoolLimits, seed: u64, steps: Vec<HistoryStep>) -> Vec<Violation> {
        let mut history = History::start(limits, seed);
        for step in steps {
            history.step(step);
        }
        history.timeout();
        history.event(Event::UnblockBoots);
        history.run_to_rest();
        if !history.model.waiting.is_empty() {
            let waiting = format!("left waiting: {:?}", history.model.waiting);
            history.model.violations.push((Invariant::AnsweredOnce, waiting));
        }
        history.checkout(None, false);
        history.run_to_rest();
        let limits = &history.model.limits;
        let paid = limits.budget.map_or(u32::MAX, |budget| budget.runners);
        let min = limits.min.min(paid) as usize;
        if !history.model.draining && history.model.serving() < min {
            let left = format!("{} of {min} are up", history.model.serving());
            history.model.violations.push((Invariant::MinKept, left));
        }
        history.event(Event::DrainPool);
        history.run_to_rest();
        history.model.check_at_end();
        history.model.violations
    }
}

fn holds(
    invariant: Invariant,
    run: (PoolLimits, u64, Vec<HistoryStep>),
) -> Result<(), TestCaseError> {
    let (limits, seed, steps) = run;
    let violations = History::violations(limits, seed, steps);
    let first = violations.iter().find(|(violated, _)| *violated == invariant);
    prop_assert!(first.is_none(), "{first:?}");
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn histories() -> impl Strategy<Value = (PoolLimits, u64, Vec<HistoryStep>)> {
    (limits(), any::<u64>(), prop::collection::vec(step(), 0..150))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn invariant_1_leases_stay_within_max_concurrency_and_runners_within_max(run in histories()) {
        holds(Invariant::WithinLimits, run)?;
    }

    #[test]
    fn invariant_2_each_waiter_is_answered_exactly_once_in_order_and_in_time(run in histories()) {
        holds(Invariant::AnsweredOnce, run)?;
    }

    #[test]
    fn invariant_3_unmet_demand_has_a_boot_under_way_or_a_reason(run in histories()) {
        holds(Invariant::GrowthOrReason, run)?;
    }

    #[test]
    fn invariant_4_a_runner_that_drains_is_used_up_or_is_lost_is_never_leased(run in histories()) {
        holds(Invariant::NeverLeased, run)?;
    }

    #[test]
    fn invariant_5_min_is_kept_unless_idle_runners_may_shut_down(run in histories()) {
        holds(Invariant::MinKept, run)?;
    }

    #[test]
    fn invariant_6_every_booted_runner_is_reported_gone_or_is_stopped(run in histories()) {
        holds(Invariant::NoneForgotten, run)?;
    }
}
