//! Random histories: whatever happens, in whatever order, late, twice, or about nobody, each
//! invariant of the pool holds after every step, and a world that plays along brings the pool to
//! its ends: everyone answered, `min` kept, and, once drained, nothing left.

use std::time::Duration;

use proptest::prelude::*;

use super::model::*;
use super::tests::sim::origin;
use super::*;

/// Whom an event is about: mostly one whom it fits, now and then anyone who ever was, or nobody.
#[derive(Clone, Copy, Debug)]
struct Whom {
    stray: bool,
    nth: usize,
}

#[derive(Clone, Debug)]
enum Step {
    /// Waits so long, for work that may take longer.
    Checkout {
        within: Option<u64>,
        bounded: bool,
    },
    CheckoutAgain(Whom),
    Cancel(Whom),
    CheckIn(Whom),
    /// Comes up, for so long.
    Up(Whom, Option<u64>),
    Fail(Whom),
    Lose(Whom),
    Announce(Whom),
    Idle(Whom, u64),
    Gone(Whom),
    Elsewhere(u64),
    Unbar,
    Resize(LimitsChange),
    Drain,
    /// Time passes and the driver's timer fires, maybe late.
    Advance(u64),
    /// Time passes and the driver's timer is not served before the next event.
    Oversleep(u64),
    /// The driver's timer fires in time.
    Sleep,
}

fn whom() -> impl Strategy<Value = Whom> {
    (prop::bool::weighted(0.1), 0..64_usize).prop_map(|(stray, nth)| Whom { stray, nth })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (prop::option::of(0..60_u64), any::<bool>())
            .prop_map(|(within, bounded)| Step::Checkout { within, bounded }),
        1 => whom().prop_map(Step::CheckoutAgain),
        4 => whom().prop_map(Step::Cancel),
        14 => whom().prop_map(Step::CheckIn),
        12 => (whom(), prop::option::of(0..200_u64)).prop_map(|(whom, life)| Step::Up(whom, life)),
        6 => whom().prop_map(Step::Fail),
        3 => whom().prop_map(Step::Lose),
        2 => whom().prop_map(Step::Announce),
        6 => (whom(), 0..80_u64).prop_map(|(whom, idle)| Step::Idle(whom, idle)),
        6 => whom().prop_map(Step::Gone),
        2 => (0..5_u64).prop_map(Step::Elsewhere),
        1 => Just(Step::Unbar),
        2 => change().prop_map(Step::Resize),
        1 => prop::bool::weighted(0.2).prop_map(|now| {
            if now { Step::Drain } else { Step::Sleep }
        }),
        8 => (0..30_u64).prop_map(Step::Advance),
        3 => (0..30_u64).prop_map(Step::Oversleep),
        5 => Just(Step::Sleep),
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
    each.prop_map(|(each, sizes)| LimitsChange {
        min: sizes.map(|(min, _)| min),
        max: sizes.map(|(_, max)| max),
        max_concurrency: each.map(|each| each.0),
        max_queue: each.map(|each| each.1),
        min_free_slots: each.map(|each| each.2),
        placement: each.map(|each| each.3),
        min_idle_shutdown_after: each.map(|each| each.4),
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let backoff = (1..20_u64, 0..200_u64, 1..4_u32, 1..200_u64);
    let backoff = backoff.prop_map(|(first, more, breaker_after, open)| Backoff {
        first: Duration::from_millis(first),
        max: Duration::from_millis(first + more),
        breaker_after,
        breaker_open: Duration::from_millis(open),
    });
    let min_free_slots = prop_oneof![3 => Just(0), 1 => 1..4_u32];
    let single_use = prop::bool::weighted(0.25);
    let shape = (min_and_max(), 1..4_u32, 1..8_usize, min_free_slots, single_use, placement());
    (shape, min_idle(), backoff).prop_map(|(shape, min_idle_shutdown_after, boot_backoff)| {
        let ((min, max), max_concurrency, max_queue, min_free_slots, single_use, placement) = shape;
        Limits {
            min,
            max,
            max_concurrency,
            max_queue,
            min_free_slots,
            single_use,
            placement,
            min_idle_shutdown_after,
            boot_backoff,
        }
    })
}

/// A pool and its model, side by side.
struct History {
    pool: PoolState<Failure>,
    model: Model,
    now: Instant,
    waiters: u64,
    leases: u64,
    failures: u64,
}

impl History {
    /// One in four begins with boots barred.
    fn start(limits: Limits, seed: u64) -> Self {
        let now = origin();
        let barred = seed.is_multiple_of(4).then_some(0);
        let pool = PoolState::new(now, limits.clone(), seed, barred);
        let model = Model::new(now, limits, barred.is_some());
        let mut history = History { pool, model, now, waiters: 0, leases: 0, failures: 0 };
        history.observe();
        history
    }

    fn event(&mut self, event: Event<Failure>) {
        self.model.before(self.now, Some(&event));
        self.pool.handle(self.now, event);
        self.observe();
    }

    fn timeout(&mut self) {
        self.model.before(self.now, None);
        self.pool.handle_timeout(self.now);
        self.observe();
    }

    fn observe(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            if let Action::Grant { lease, .. } = action {
                self.leases = self.leases.max(lease.0 + 1);
            }
            self.model.sees(&action);
        }
        self.model.rests(&self.pool);
    }

    fn runner(&self, whom: Whom, fits: impl Fn(&ModelRunner) -> bool) -> RunnerId {
        let fitting = self.model.runners.iter().filter(|(_, runner)| fits(runner));
        let fitting: Vec<_> = fitting.map(|(&id, _)| id).collect();
        if whom.stray || fitting.is_empty() {
            RunnerId((whom.nth % (self.model.booted.len() + 1)) as u64)
        } else {
            fitting[whom.nth % fitting.len()]
        }
    }

    fn lease(&self, whom: Whom) -> LeaseId {
        let held = self.model.runners.values().flat_map(|runner| &runner.leases);
        let held: Vec<_> = held.copied().collect();
        if whom.stray || held.is_empty() {
            LeaseId(whom.nth as u64 % (self.leases + 1))
        } else {
            held[whom.nth % held.len()]
        }
    }

    fn waiter(&self, whom: Whom) -> WaiterId {
        match self.model.waiting.len() {
            len if whom.stray || len == 0 => WaiterId(whom.nth as u64 % (self.waiters + 1)),
            len => self.model.waiting[whom.nth % len].0,
        }
    }

    fn checkout(&mut self, within: Option<u64>, bounded: bool) {
        let waiter = WaiterId(self.waiters);
        self.waiters += 1;
        let deadline = self.after(within);
        self.event(Event::Checkout { waiter, deadline, bounded });
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

    fn step(&mut self, step: Step) {
        match step {
            Step::Checkout { within, bounded } => self.checkout(within, bounded),
            Step::CheckoutAgain(whom) => {
                let waits = |at: Option<Instant>| at.is_none_or(|at| at > self.now);
                let waiting = self.model.waiting.iter().filter(|&&(_, at)| waits(at));
                let waiting: Vec<_> = waiting.map(|&(waiter, _)| waiter).collect();
                if let Some(&waiter) = waiting.get(whom.nth % waiting.len().max(1)) {
                    self.event(Event::Checkout { waiter, deadline: None, bounded: false });
                }
            }
            Step::Cancel(whom) => {
                let waiter = self.waiter(whom);
                self.event(Event::CancelCheckout { waiter });
            }
            Step::CheckIn(whom) => {
                let lease = self.lease(whom);
                self.event(Event::CheckIn { lease });
            }
            Step::Up(whom, life) => {
                let runner = self.runner(whom, |runner| runner.life == Life::Booting);
                let expires = self.after(life);
                self.event(Event::RunnerUp { runner, expires });
            }
            Step::Fail(whom) => {
                let runner = self.runner(whom, |runner| runner.life == Life::Booting);
                self.failures += 1;
                self.event(Event::BootFailed { runner, failure: self.failures });
            }
            Step::Lose(whom) => {
                let runner = self.runner(whom, |_| true);
                self.event(Event::RunnerLost { runner });
            }
            Step::Announce(whom) => {
                let runner = self.runner(whom, |runner| runner.life == Life::Up);
                self.event(Event::RunnerDraining { runner });
            }
            Step::Idle(whom, idle) => {
                let runner = self.runner(whom, |runner| runner.leases.is_empty());
                let idle_for = Duration::from_millis(idle);
                self.event(Event::IdleProposed { runner, idle_for });
            }
            Step::Gone(whom) => {
                let ends =
                    |runner: &ModelRunner| matches!(runner.life, Life::Ending | Life::Stopping);
                let runner = self.runner(whom, ends);
                self.event(Event::RunnerGone { runner });
            }
            Step::Elsewhere(calls) => self.event(Event::Elsewhere { calls }),
            Step::Unbar => self.event(Event::Unbar),
            Step::Resize(change) => self.event(Event::Resize { change }),
            Step::Drain => self.event(Event::Drain),
            Step::Advance(ms) => {
                self.now += Duration::from_millis(ms);
                self.timeout();
            }
            Step::Oversleep(ms) => self.now += Duration::from_millis(ms),
            Step::Sleep => self.sleep(),
        }
    }

    /// The world plays along: boots come up, calls end, drained runners go, time passes.
    ///
    /// Ends when nothing is left to happen, or, as a fault of the model, when that never is.
    fn play_along(&mut self) {
        for _ in 0..1_000 {
            let life = |life| move |(_, runner): &(&RunnerId, &ModelRunner)| runner.life == life;
            let runners = &self.model.runners;
            let lease = runners.values().find_map(|runner| runner.leases.first().copied());
            let ends = |(_, runner): &(&RunnerId, &ModelRunner)| {
                matches!(runner.life, Life::Ending | Life::Stopping)
            };
            let ending = runners.iter().find(ends).map(|(&id, _)| id);
            let booting = runners.iter().find(life(Life::Booting)).map(|(&id, _)| id);
            if let Some(lease) = lease {
                self.event(Event::CheckIn { lease });
            } else if let Some(runner) = ending {
                self.event(Event::RunnerGone { runner });
            } else if let Some(runner) = booting {
                self.event(Event::RunnerUp { runner, expires: None });
            } else if self.pool.poll_timeout().is_some() {
                self.sleep();
            } else {
                return;
            }
        }
        let endless = "the world plays along, and the pool never comes to rest".to_owned();
        self.model.faults.push((Invariant::GrowthOrReason, endless));
    }

    /// Runs a history to its end and returns the broken promises.
    fn faults(limits: Limits, seed: u64, steps: Vec<Step>) -> Vec<Fault> {
        let mut history = History::start(limits, seed);
        for step in steps {
            history.step(step);
        }
        history.timeout();
        history.event(Event::Unbar);
        history.play_along();
        if !history.model.waiting.is_empty() {
            let waiting = format!("left waiting: {:?}", history.model.waiting);
            history.model.faults.push((Invariant::AnsweredOnce, waiting));
        }
        history.checkout(None, false);
        history.play_along();
        let min = history.model.limits.min as usize;
        if !history.model.draining && history.model.serving() < min {
            let left = format!("{} of {min} are up", history.model.serving());
            history.model.faults.push((Invariant::MinKept, left));
        }
        history.event(Event::Drain);
        history.play_along();
        history.model.ends();
        history.model.faults
    }
}

fn holds(invariant: Invariant, run: (Limits, u64, Vec<Step>)) -> Result<(), TestCaseError> {
    let (limits, seed, steps) = run;
    let faults = History::faults(limits, seed, steps);
    let first = faults.iter().find(|(broken, _)| *broken == invariant);
    prop_assert!(first.is_none(), "{first:?}");
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn histories() -> impl Strategy<Value = (Limits, u64, Vec<Step>)> {
    (limits(), any::<u64>(), prop::collection::vec(step(), 0..150))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn invariant_1_leases_stay_within_max_concurrency_and_runners_within_max(run in histories()) {
        holds(Invariant::WithinLimits, run)?;
    }

    #[test]
    fn invariant_2_each_waiter_is_answered_exactly_once_in_turn_and_in_time(run in histories()) {
        holds(Invariant::AnsweredOnce, run)?;
    }

    #[test]
    fn invariant_3_unmet_demand_has_a_boot_under_way_or_a_reason(run in histories()) {
        holds(Invariant::GrowthOrReason, run)?;
    }

    #[test]
    fn invariant_4_a_runner_that_drains_is_spent_or_is_lost_is_never_leased(run in histories()) {
        holds(Invariant::NeverLeased, run)?;
    }

    #[test]
    fn invariant_5_min_is_kept_and_only_idleness_by_permission_goes_beneath_it(run in histories()) {
        holds(Invariant::MinKept, run)?;
    }

    #[test]
    fn invariant_6_every_boot_is_seen_gone_or_stopped(run in histories()) {
        holds(Invariant::NoneForgotten, run)?;
    }
}
