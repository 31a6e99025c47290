//! Records the events of a pool, and what the pool owes because of them.

use super::*;

impl Model {
    /// Records an event, before the pool handles it.
    pub(in super::super) fn record_event(
        &mut self,
        now: Instant,
        event: Option<&Event<TestFailure>>,
    ) {
        self.now = now;
        let coming = self.count(ModelPhase::Booting) * self.slots();
        let covered = coming > 0 && self.waiting.len() <= coming;
        let boot = self.serving() == 0 || covered;
        self.phase = if boot { WaitPhase::Boot } else { WaitPhase::Queue };
        self.newcomer = None;
        match event {
            Some(Event::Checkout { waiter, deadline, bounds_work }) => {
                self.record_checkout(*waiter, *deadline, *bounds_work);
            }
            Some(Event::CancelCheckout { waiter }) => {
                let expired = |at: Option<Instant>| at.is_some_and(|at| at <= now);
                self.waiting.retain(|(w, deadline)| w != waiter || expired(*deadline));
            }
            Some(Event::CheckIn { lease }) => {
                for runner in self.runners.values_mut() {
                    runner.leases.remove(lease);
                }
            }
            Some(Event::RunnerUp { runner, expires }) => self.record_up(*runner, *expires),
            Some(Event::BootFailed { runner, .. }) => {
                let failed =
                    self.phase(*runner) == Some(ModelPhase::Booting) && self.record_stop(*runner);
                self.expected_stops.extend(failed.then_some(*runner));
            }
            Some(Event::RunnerLost { runner }) => {
                let known = self.record_stop(*runner);
                self.expected_stops.extend(known.then_some(*runner));
            }
            Some(Event::DrainRequested { runner }) => match self.phase(*runner) {
                Some(ModelPhase::Booting) => self.expect_stop(*runner),
                Some(ModelPhase::Up | ModelPhase::RetiringForResize) => {
                    self.runners.entry(*runner).and_modify(|r| r.phase = ModelPhase::Retiring);
                }
                _ => {}
            },
            Some(Event::StopRequested { runner }) => self.expect_stop(*runner),
            Some(Event::RunnerGone { runner }) => {
                self.record_stop(*runner);
                let known = self.runners.remove(runner).is_some();
                self.gone.extend(known.then_some(*runner));
            }
            Some(Event::ShutdownAnnounced { runner }) => {
                self.record_unused(*runner);
                if let Some(runner) = self.runners.get_mut(runner)
                    && !matches!(runner.phase, ModelPhase::Draining | ModelPhase::Stopping)
                {
                    runner.phase = ModelPhase::Retiring;
                }
            }
            Some(Event::IdleProposed { runner, idle_for }) => {
                if matches!(
                    self.phase(*runner),
                    Some(ModelPhase::Up | ModelPhase::RetiringForResize | ModelPhase::Retiring)
                ) {
                    self.proposal = Some((*runner, *idle_for));
                }
            }
            Some(Event::BurstCalls { calls }) => self.burst_calls = *calls as usize,
            Some(Event::UnblockBoots) => self.boots_blocked = false,
            Some(Event::Resize { change }) => self.record_resize(change),
            Some(Event::DrainPool) => {
                self.draining = true;
                self.expect_boots_stopped(usize::MAX);
            }
            None => {}
        }
    }

    fn record_checkout(&mut self, waiter: WaiterId, deadline: Option<Instant>, bounds_work: bool) {
        if self.waiting.iter().any(|&(w, at)| w == waiter && at.is_none_or(|at| at > self.now)) {
            return;
        }
        self.newcomer = Some(waiter);
        self.waiting.push((waiter, deadline));
        self.over_by.remove(&waiter);
        self.over_by.extend(deadline.filter(|_| bounds_work).map(|over_by| (waiter, over_by)));
        if !self.draining && deadline.is_none_or(|at| at > self.now) {
            self.kept_min = self.limits.min;
        }
    }

    fn record_up(&mut self, id: RunnerId, expires: Option<Instant>) {
        let now = self.now;
        match self.runners.get_mut(&id) {
            Some(runner) if runner.phase == ModelPhase::Booting => {
                runner.expires = expires;
                runner.phase = ModelPhase::Up;
                runner.up_at = Some(now);
                self.on_trial = false;
                let first = now + self.limits.boot_backoff.first;
                self.pause_limit = self.pause_limit.map(|limit| limit.min(first));
            }
            Some(runner) if runner.phase == ModelPhase::Stopping => {
                self.expected_stops.insert(id);
            }
            Some(_) => {}
            None if self.booted.contains(&id) => {
                self.gone.remove(&id);
                self.expected_stops.insert(id);
            }
            None => {}
        }
    }

    /// Stops a runner. Returns whether the runner existed and was not stopped before.
    fn record_stop(&mut self, id: RunnerId) -> bool {
        self.record_unused(id);
        let Some(runner) = self.runners.get_mut(&id) else { return false };
        runner.leases.clear();
        std::mem::replace(&mut runner.phase, ModelPhase::Stopping) != ModelPhase::Stopping
    }

    /// If the runner was never leased, the pool may pause its boots.
    pub(super) fn record_unused(&mut self, id: RunnerId) {
        let backoff = self.limits.boot_backoff;
        let Some(runner) = self.runners.get(&id) else { return };
        let unused = match runner.phase {
            ModelPhase::Booting => true,
            ModelPhase::Up => {
                !runner.ever_leased && runner.up_at.is_some_and(|up| self.now - up < backoff.max)
            }
            ModelPhase::RetiringForResize
            | ModelPhase::Retiring
            | ModelPhase::Draining
            | ModelPhase::Stopping => false,
        };
        if unused {
            self.on_trial |= runner.phase == ModelPhase::Booting;
            self.pause_limit = Some(self.now + backoff.max.max(backoff.breaker_open));
        }
    }

    fn record_resize(&mut self, change: &LimitsChange) {
        self.limits = self.limits.changed(change);
        self.kept_min = self.limits.min;
        if self.draining {
            return;
        }
        for runner in self.runners.values_mut().filter(|r| r.phase == ModelPhase::RetiringForResize)
        {
            runner.phase = ModelPhase::Up;
        }
        let alive = self.serving() + self.count(ModelPhase::Booting);
        let excess = alive.saturating_sub(self.limits.max as usize);
        let stopped = self.expect_boots_stopped(excess);
        let mut serving: Vec<_> =
            self.runners.iter().filter(|(_, r)| r.phase == ModelPhase::Up).collect();
        serving.retain(|(_, runner)| !self.is_used_up(runner));
        serving.sort_by_key(|(id, runner)| (runner.leases.len(), std::cmp::Reverse(**id)));
        let surplus: Vec<_> =
            serving.into_iter().map(|(&id, _)| id).take(excess - stopped).collect();
        for id in surplus {
            self.runners
                .entry(id)
                .and_modify(|runner| runner.phase = ModelPhase::RetiringForResize);
        }
    }

    /// The latest boots, at most `most`, must be stopped.
    fn expect_boots_stopped(&mut self, most: usize) -> usize {
        let booting = self.runners.iter().filter(|(_, r)| r.phase == ModelPhase::Booting);
        let latest: Vec<_> = booting.map(|(&id, _)| id).rev().take(most).collect();
        latest.iter().for_each(|id| self.expect_stop(*id));
        latest.len()
    }

    /// The runner must be stopped, unless it has been; and no failure is to blame.
    fn expect_stop(&mut self, id: RunnerId) {
        if let Some(runner) = self.runners.get_mut(&id)
            && runner.phase != ModelPhase::Stopping
        {
            runner.leases.clear();
            runner.phase = ModelPhase::Stopping;
            self.expected_stops.insert(id);
        }
    }
}
