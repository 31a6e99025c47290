//! Checks what must hold when a pool has no more actions, and at its end.

use super::*;

impl Model {
    /// Checks what must hold when the pool has no more actions.
    pub(in super::super) fn check_at_rest(&mut self, pool: &PoolState<TestFailure>) {
        let now = self.now;
        let (expired, rest): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|(_, deadline)| deadline.is_some_and(|at| at <= now));
        self.check(AnsweredOnce, expired.is_empty(), ("past their deadlines", &expired));
        let should_not_wait = self.draining || self.boots_blocked || self.free() > 0;
        let waits_for_nothing = !rest.is_empty() && should_not_wait;
        self.check(AnsweredOnce, !waits_for_nothing, ("not answered", &rest));
        let first = rest.iter().filter_map(|(_, deadline)| *deadline).min();
        let timely = first.is_none_or(|at| pool.poll_timeout().is_some_and(|timer| timer <= at));
        self.check(AnsweredOnce, timely, ("the timer is late", first, pool.poll_timeout()));
        let ahead = pool.poll_timeout().is_none_or(|timer| timer > now);
        self.check(AnsweredOnce, ahead, "the timer is due at rest");

        let (serving, booting) = (self.serving(), self.count(ModelPhase::Booting));
        let max = self.limits.max as usize;
        self.check(WithinLimits, serving + booting <= max, ("beyond max", serving, booting));
        self.check(
            NoneForgotten,
            self.expected_stops.is_empty(),
            ("unstopped", self.expected_stops.clone()),
        );
        self.check(MinKept, self.proposal.is_none(), ("unanswered", self.proposal));
        let untold = self.runners.values().any(|runner| {
            let leaves =
                matches!(runner.phase, ModelPhase::RetiringForResize | ModelPhase::Retiring);
            let done = leaves || self.draining || self.is_used_up(runner);
            let told = matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping);
            done && !told && runner.leases.is_empty()
        });
        self.check(NoneForgotten, !untold, "a runner that is to drain was not told");
        self.check_growth(pool);

        let ready = !self.draining && serving >= self.kept_min as usize;
        self.check(MinKept, pool.is_ready() == ready, ("ready", pool.is_ready(), ready));
        let drained = self.draining && self.runners.is_empty();
        self.check(NoneForgotten, pool.is_drained() == drained, ("drained", pool.is_drained()));
        let noted = self.drained_noted == u32::from(drained);
        self.check(NoneForgotten, noted, ("drained was noted", self.drained_noted));
        self.check_snapshot(&pool.snapshot());
    }

    /// With unmet demand, or fewer than `min` runners, a boot is under way or there is a reason why
    /// not; and the pool reports it.
    fn check_growth(&mut self, pool: &PoolState<TestFailure>) {
        let growth = pool.explain(self.now).growth;
        let booting = self.count(ModelPhase::Booting) > 0;
        let full = self.runners.len() >= self.limits.max as usize;
        let over_budget = self.is_over_budget();
        let paused = self.pause_limit.filter(|&limit| self.now < limit);
        let timer = pool.poll_timeout();
        let resumes = paused.is_some_and(|limit| timer.is_some_and(|timer| timer <= limit));
        let wanted = self.is_short() || self.is_below_min();
        let honest = match growth {
            Growth::Draining => self.draining,
            Growth::Blocked { .. } => self.boots_blocked,
            Growth::NoUnmetDemand => !wanted && !booting && !self.boots_blocked,
            Growth::BootsUnderWay => booting && (!wanted || self.on_trial),
            Growth::MaxReached => wanted && full && !self.boots_blocked,
            Growth::OverBudget { .. } => wanted && over_budget && !self.boots_blocked,
            // Calls that need a runner are rejected.
            Growth::BreakerOpen { .. } if !wanted => {
                self.serving() == 0 && !booting && paused.is_some()
            }
            Growth::BackingOff { .. } | Growth::BreakerOpen { .. } => {
                wanted && !full && !over_budget && resumes
            }
            Growth::Due { .. } => false,
        };
        let about = if self.is_below_min() { MinKept } else { GrowthOrReason };
        let seen = (wanted, booting, full, paused, timer);
        self.check(about, honest, ("growth is not so", growth, seen));
    }

    fn check_snapshot(&mut self, snapshot: &StateSnapshot) {
        let told: BTreeMap<_, _> = snapshot.runners.iter().map(|r| (r.id, r.leases)).collect();
        let known = self.runners.iter().map(|(&id, r)| (id, r.leases.len() as u32)).collect();
        self.check(NoneForgotten, told == known, ("snapshot", &told, &known));
        let leased: usize = self.runners.values().map(|runner| runner.leases.len()).sum();
        self.check(NoneForgotten, snapshot.leased == leased, ("leases", snapshot.leased, leased));
        let free = snapshot.free == self.free() as u64;
        self.check(WithinLimits, free, ("free slots", snapshot.free, self.free()));
        self.check(
            AnsweredOnce,
            snapshot.queued == self.waiting.len(),
            ("queued", snapshot.queued),
        );
    }

    /// Checks what must hold when the pool has drained and all runners are gone.
    pub(in super::super) fn check_at_end(&mut self) {
        let forgotten: Vec<_> = self.booted.difference(&self.gone).copied().collect();
        self.check(NoneForgotten, forgotten.is_empty(), ("forgotten", &forgotten));
        let unanswered = self.waiting.clone();
        self.check(AnsweredOnce, unanswered.is_empty(), ("never answered", &unanswered));
        self.check(NoneForgotten, self.drained_noted == 1, "never drained");
    }
}
