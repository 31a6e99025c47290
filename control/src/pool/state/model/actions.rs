//! Records the actions of a pool, and checks that each is allowed.

use super::*;

impl Model {
    /// Records an action of the pool, and checks that it is allowed.
    pub(in super::super) fn record_action(&mut self, action: &Action<TestFailure>) {
        match action {
            Action::Grant { waiter, runner, lease } => self.record_grant(*waiter, *runner, *lease),
            Action::Reject { waiter, error } => self.record_rejection(*waiter, error),
            Action::Boot { runner } => self.record_boot(*runner),
            Action::Stop { runner } => {
                let owed = self.expected_stops.remove(runner);
                self.check(NoneForgotten, owed, ("stopped without a reason", runner));
                // A runner that came up after it was gone is not reported again.
                self.gone.extend((!self.runners.contains_key(runner)).then_some(*runner));
            }
            Action::DrainRunner { runner } => self.record_drain(*runner),
            Action::StayUp { runner, again_in } => {
                let proposed = self.proposal.take();
                let asked = proposed.is_some_and(|(id, _)| id == *runner);
                self.check(MinKept, asked, ("stay up, unasked", runner));
                self.check(MinKept, !self.may_idle_out(*runner, proposed), ("kept up", runner));
                self.check(MinKept, *again_in != Some(Duration::ZERO), "proposes in a circle");
            }
            Action::Note(Note::Draining { runner, reason: ShrinkReason::Expiring }) => {
                self.record_expiry(*runner);
            }
            Action::Note(Note::Drained) => self.drained_noted += 1,
            Action::Note(Note::Queued { .. }) => {
                let within = self.waiting.len() <= self.limits.max_queue;
                self.check(WithinLimits, within, ("queue too long", self.waiting.len()));
                let refused = self.refuses(self.waiting.len());
                self.check(GrowthOrReason, !refused, "waits, beyond the budget");
            }
            Action::Note(_) => {}
        }
    }

    /// Records the answer to a checkout that does not wait, made under the id of `waiter`.
    pub(in super::super) fn record_try_checkout(
        &mut self,
        waiter: WaiterId,
        leased: Option<(RunnerId, LeaseId)>,
    ) {
        match leased {
            Some((runner, lease)) => self.record_grant(waiter, runner, lease),
            None => {
                let asked = self.waiting.iter().position(|&(w, _)| w == waiter);
                let deadline = asked.and_then(|at| self.waiting.remove(at).1);
                let is_late = deadline.is_some_and(|deadline| deadline <= self.now);
                let free = self.free() > 0 && !self.draining && !is_late;
                self.check(AnsweredOnce, !free, ("a free slot was not leased", waiter));
            }
        }
    }

    fn record_grant(&mut self, waiter: WaiterId, id: RunnerId, lease: LeaseId) {
        let first = self.waiting.first().map(|&(waiter, _)| waiter);
        self.check(AnsweredOnce, first == Some(waiter), ("granted out of turn", waiter, first));
        self.waiting.retain(|&(w, _)| w != waiter);
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NeverLeased, ("leased, but not there", id));
        };
        self.check(
            WithinLimits,
            runner.leases.len() < self.slots(),
            ("leased beyond its slots", id),
        );
        self.check(NeverLeased, runner.phase == ModelPhase::Up, ("leased", id, runner.phase));
        self.check(NeverLeased, !self.draining, ("leased by a draining pool", id));
        let suits = match self.over_by.get(&waiter) {
            Some(over_by) => runner.expires.is_none_or(|expires| *over_by <= expires),
            None => self.suits_unbounded(&runner),
        };
        self.check(NeverLeased, suits, ("leased, to be cut off", id, waiter));
        self.check(NeverLeased, !self.is_used_up(&runner), ("leased again, single use", id));
        // Work of unknown length goes to a fresh runner.
        let is_unbounded = !self.over_by.contains_key(&waiter);
        let alike = |other: &&ModelRunner| !is_unbounded || self.is_fresh(other);
        let loads = self.open().filter(alike).map(|runner| runner.leases.len());
        let fitting = match self.limits.placement {
            Placement::Spread => loads.min(),
            Placement::Pack => loads.max(),
        };
        let placed = fitting.is_none_or(|fitting| fitting == runner.leases.len());
        self.check(WithinLimits, placed, ("misplaced", id, fitting));
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.ever_leased = true;
            runner.leases.insert(lease);
        }
    }

    /// Whether work of unknown length may go to this runner: the runner is fresh; or no runner is
    /// fresh, fresh ones can't be booted, and no other runner expires later.
    fn suits_unbounded(&self, runner: &ModelRunner) -> bool {
        let none_fresh = !self.open().any(|other| self.is_fresh(other));
        let longest = self.open().all(|other| other.expires <= runner.expires);
        let paused = self.pause_limit.is_some_and(|limit| self.now < limit) || self.on_trial;
        self.is_fresh(runner) || none_fresh && longest && (paused || !self.has_room_for_fresh())
    }

    /// Whether at least half of its lifetime is left.
    fn is_fresh(&self, runner: &ModelRunner) -> bool {
        let (Some(up), Some(expires)) = (runner.up_at, runner.expires) else { return true };
        expires <= up || (expires > self.now && expires - self.now >= (expires - up) / 2)
    }

    /// Whether every runner with a free slot could be replaced, once those without leases are gone.
    fn has_room_for_fresh(&self) -> bool {
        let busy = self.open().filter(|runner| !runner.leases.is_empty()).count();
        self.runners.len() + busy <= self.paid_max()
    }

    fn open(&self) -> impl Iterator<Item = &ModelRunner> {
        self.runners.values().filter(|runner| self.has_slot(runner))
    }

    /// A runner retires early only for the next waiter, which can't use the runner's free slot.
    fn record_expiry(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NeverLeased, ("expires, but not there", id));
        };
        let next = self.waiting.first().map(|&(waiter, _)| waiter);
        let in_the_way = next.is_some_and(|next| match self.over_by.get(&next) {
            Some(over_by) => runner.expires.is_some_and(|expires| *over_by > expires),
            None => !self.open().any(|open| self.is_fresh(open)) && self.has_room_for_fresh(),
        });
        let called_for = in_the_way && self.has_slot(&runner);
        self.check(MinKept, called_for, ("retired before its time", id, next));
        self.record_unused(id);
        self.runners.entry(id).and_modify(|runner| runner.phase = ModelPhase::Retiring);
    }

    fn record_rejection(&mut self, waiter: WaiterId, error: &CheckoutError<TestFailure>) {
        let Some(at) = self.waiting.iter().position(|&(w, _)| w == waiter) else {
            return self.violate(AnsweredOnce, ("rejected, but does not wait", waiter));
        };
        let (_, deadline) = self.waiting.remove(at);
        let newcomer = self.newcomer == Some(waiter);
        let true_enough = match error {
            CheckoutError::QueueFull { limit } => {
                newcomer && *limit == self.limits.max_queue && self.waiting.len() >= *limit
            }
            CheckoutError::OverBudget => newcomer && self.refuses(self.waiting.len() + 1),
            CheckoutError::Draining => self.draining,
            CheckoutError::BootFailed(_) => self.serving() + self.count(ModelPhase::Booting) == 0,
            CheckoutError::Timeout { phase, .. } => {
                let expected = if newcomer { WaitPhase::Queue } else { self.phase };
                *phase == expected && deadline.is_some_and(|deadline| deadline <= self.now)
            }
        };
        self.check(AnsweredOnce, true_enough, ("rejected for no such reason", waiter, error));
    }

    fn record_boot(&mut self, id: RunnerId) {
        let room = self.runners.len() < self.paid_max();
        self.check(WithinLimits, room, ("booted beyond max or the budget", id));
        let asked = !self.draining && (self.is_short() || self.is_below_min());
        self.check(GrowthOrReason, asked, ("booted for nobody", id));
        self.check(GrowthOrReason, !self.boots_blocked, ("booted while boots are blocked", id));
        let fresh = self.booted.insert(id);
        self.check(NoneForgotten, fresh, ("booted twice", id));
        let phase = ModelPhase::Booting;
        let leases = BTreeSet::new();
        let (ever_leased, up_at, expires) = (false, None, None);
        self.runners.insert(id, ModelRunner { phase, leases, ever_leased, up_at, expires });
    }

    fn record_drain(&mut self, id: RunnerId) {
        let Some(runner) = self.runners.get(&id).cloned() else {
            return self.violate(NoneForgotten, ("drained, but not there", id));
        };
        self.check(WithinLimits, runner.leases.is_empty(), ("drained with leases", id));
        let twice = !matches!(
            runner.phase,
            ModelPhase::Up | ModelPhase::RetiringForResize | ModelPhase::Retiring
        );
        self.check(NoneForgotten, !twice, ("drained", id, runner.phase));
        let proposed = self.proposal.take_if(|(proposer, _)| *proposer == id);
        let leaves = matches!(runner.phase, ModelPhase::RetiringForResize | ModelPhase::Retiring);
        let due = self.draining || self.is_used_up(&runner) || leaves;
        let allowed = due || self.may_idle_out(id, proposed);
        self.check(MinKept, allowed, ("drained for no reason", id));
        self.runners.entry(id).and_modify(|runner| runner.phase = ModelPhase::Draining);
        if !due {
            let left = self.serving() + self.count(ModelPhase::Booting);
            self.kept_min = self.kept_min.min(u32::try_from(left).unwrap_or(u32::MAX));
        }
    }

    fn may_idle_out(&self, id: RunnerId, proposed: Option<(RunnerId, Duration)>) -> bool {
        let (Some(runner), Some((_, idle_for))) = (self.runners.get(&id), proposed) else {
            return false;
        };
        let long_enough = self.limits.min_idle_shutdown_after.is_some_and(|at| idle_for >= at);
        let kept = self.serving() > self.kept_min as usize || long_enough;
        let wanted = self.limits.min_free_slots as usize + self.burst_calls;
        let spared = self.free() >= wanted + self.slots();
        runner.phase == ModelPhase::Up && runner.leases.is_empty() && kept && spared
    }
}
