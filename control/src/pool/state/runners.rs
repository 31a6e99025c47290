//! What becomes of runners: they come up, fail, are lost, idle, drain and go.
//!
//! A runner that ends too soon to have been of use counts for the back-off like a failed boot, so
//! that a pool which keeps `min` does not boot in a circle.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::PoolState;
use super::Stage;
use super::backoff::Gate;
use super::event::{Action, GrowOutcome, Note, Refusal, ShrinkReason};
use super::fleet::{Phase, Runner};
use super::ids::RunnerId;
use super::limits::LimitsChange;

impl<F: Clone> PoolState<F> {
    pub(super) fn runner_up(&mut self, now: Instant, runner: RunnerId, expires: Option<Instant>) {
        match self.fleet.phase(runner) {
            Some(Phase::Booting) => {
                self.fleet.came_up(runner, now, expires);
                self.last_failure = None;
                self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Up });
                if self.ladder.came_up(now, &self.limits.boot_backoff) {
                    self.note(Note::BreakerClosed);
                }
            }
            // It was stopped, and is there nevertheless: stop it again.
            Some(Phase::Stopping) => self.act(Action::Stop { runner }),
            None if self.fleet.has_issued(runner) => self.act(Action::Stop { runner }),
            Some(_) | None => {}
        }
    }

    /// Only a boot can fail: once a runner is up, what ends it is `RunnerLost`.
    pub(super) fn boot_failed(&mut self, now: Instant, runner: RunnerId, failure: F) {
        if self.fleet.phase(runner) != Some(Phase::Booting) {
            return;
        }
        let Some((boot, _)) = self.fleet.stop(runner) else { return };
        let outcome = GrowOutcome::BootFailed(failure.clone());
        self.note(Note::GrowEnd { runner, outcome });
        self.act(Action::Stop { runner });
        self.last_failure = Some(failure.clone());
        let gate = self.ladder.boot_failed(now, boot.rung, &self.limits.boot_backoff);
        self.note_gate(gate);
        if self.fleet.up() == 0 && self.fleet.booting() == 0 {
            self.refuse_all(&Refusal::BootFailed(failure));
        }
    }

    pub(super) fn runner_lost(&mut self, now: Instant, runner: RunnerId) {
        let Some((was, leases)) = self.fleet.stop(runner) else { return };
        if was.phase == Phase::Booting {
            self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Lost });
        } else {
            self.note(Note::RunnerLost { runner, leases });
        }
        self.act(Action::Stop { runner });
        self.mind_stillborn(now, &was);
    }

    pub(super) fn runner_gone(&mut self, now: Instant, runner: RunnerId) {
        let was = self.fleet.stop(runner);
        self.fleet.forget(runner);
        // What was stopped before has been told of.
        let Some((was, leases)) = was else { return };
        match was.phase {
            Phase::Stopping => {}
            Phase::Booting => self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Lost }),
            _ if !leases.is_empty() => self.note(Note::RunnerLost { runner, leases }),
            Phase::Up => self.note(Note::Shrink { runner, reason: ShrinkReason::Announced }),
            Phase::Retiring(reason) | Phase::Draining(reason) => {
                self.note(Note::Shrink { runner, reason });
            }
        }
        self.mind_stillborn(now, &was);
    }

    /// The runner asks to be let go. It serves what it is sent until it is told to drain, which is
    /// when its last lease is back: so no call is lost to the race.
    pub(super) fn runner_draining(&mut self, now: Instant, id: RunnerId) {
        let Some(&runner) = self.fleet.get(id) else { return };
        match runner.phase {
            // Told already, or about to be, for a reason of the pool's own.
            Phase::Draining(_) | Phase::Stopping => return,
            Phase::Retiring(reason) if reason != ShrinkReason::Resize => return,
            Phase::Booting => {
                self.note(Note::GrowEnd { runner: id, outcome: GrowOutcome::Up });
            }
            Phase::Up | Phase::Retiring(_) => {}
        }
        let reason = ShrinkReason::Announced;
        self.note(Note::Draining { runner: id, reason });
        self.retire(id, reason);
        self.mind_stillborn(now, &runner);
    }

    /// A call might be cut off on this runner: it makes room for one that lasts.
    pub(super) fn retire_expiring(&mut self, now: Instant, id: RunnerId) {
        let Some(&runner) = self.fleet.get(id) else { return };
        let reason = ShrinkReason::Expiring;
        self.note(Note::Draining { runner: id, reason });
        self.retire(id, reason);
        self.mind_stillborn(now, &runner);
    }

    /// The runner offers to end. Whichever is first wins: a lease, or the drain.
    pub(super) fn idle_proposed(&mut self, id: RunnerId, idle_for: Duration) {
        let Some(&runner) = self.fleet.get(id) else { return };
        let again_in = match runner.phase {
            Phase::Booting | Phase::Draining(_) | Phase::Stopping => return,
            Phase::Retiring(_) => None,
            Phase::Up if runner.leases > 0 || self.free_slots_need_one_more() => None,
            Phase::Up if self.fleet.up() > self.kept_min => {
                return self.drain_runner(id, ShrinkReason::Idle);
            }
            Phase::Up => match self.limits.min_idle_shutdown_after {
                Some(after) if idle_for >= after => {
                    self.drain_runner(id, ShrinkReason::Idle);
                    self.kept_min = self.kept_min.min(self.fleet.up() + self.fleet.booting());
                    return;
                }
                Some(after) => Some(after.saturating_sub(idle_for)),
                None => None,
            },
        };
        self.act(Action::StayUp { runner: id, again_in });
    }

    /// Whether `min_free_slots` slots would no longer be free without one idle runner, or another would be
    /// booted in its place.
    fn free_slots_need_one_more(&self) -> bool {
        let slots = u64::from(self.limits.slots_per_runner());
        let wanted = u64::from(self.limits.min_free_slots).saturating_add(self.elsewhere);
        self.fleet.free() < wanted.saturating_add(slots)
    }

    pub(super) fn resize(&mut self, change: &LimitsChange) {
        self.limits = self.limits.changed(change);
        debug_assert_eq!(self.limits.out_of_range(), []);
        self.kept_min = self.limits.min;
        self.fleet.set_slots(self.limits.slots_per_runner());
        if !self.is_draining() {
            self.revive();
            self.shed();
            self.ready_noted &= self.is_ready();
        }
    }

    /// Runners that retire for want of room serve on; `shed` says again which must go.
    fn revive(&mut self) {
        for id in self.ids(|runner| runner.phase == Phase::Retiring(ShrinkReason::Resize)) {
            self.fleet.turn(id, Phase::Up);
        }
    }

    /// Brings boots and serving runners down to `max`: the latest boots first, which have served
    /// nobody, then runners from the emptiest on; busy ones go when their last lease is back.
    fn shed(&mut self) {
        let mut excess = (self.fleet.up() + self.fleet.booting()).saturating_sub(self.limits.max);
        let boots = self.ids(|runner| runner.phase == Phase::Booting);
        for id in boots.into_iter().rev().take(excess as usize) {
            self.stop_boot(id);
            excess -= 1;
        }
        let mut serving = self.ids(|runner| runner.phase == Phase::Up);
        serving.sort_by_key(|&id| (self.fleet.get(id).map(|runner| runner.leases), Reverse(id)));
        for id in serving.into_iter().take(excess as usize) {
            self.retire(id, ShrinkReason::Resize);
        }
    }

    /// Ends the whole pool.
    pub(super) fn drain_pool(&mut self) {
        if self.is_draining() {
            return;
        }
        self.stage = Stage::Draining;
        self.refuse_all(&Refusal::Draining);
        for id in self.ids(|runner| runner.phase == Phase::Booting) {
            self.stop_boot(id);
        }
        for id in self.ids(|runner| runner.phase == Phase::Up) {
            self.retire(id, ShrinkReason::PoolDrain);
        }
    }

    /// The runner takes no more leases: it drains now if it is empty, else with its last lease.
    pub(super) fn retire(&mut self, id: RunnerId, reason: ShrinkReason) {
        match self.fleet.get(id) {
            Some(runner) if runner.leases > 0 => self.fleet.turn(id, Phase::Retiring(reason)),
            Some(_) => self.drain_runner(id, reason),
            None => {}
        }
    }

    /// Tells an empty runner to end.
    pub(super) fn drain_runner(&mut self, runner: RunnerId, reason: ShrinkReason) {
        self.fleet.turn(runner, Phase::Draining(reason));
        // These were noted when they retired.
        if !matches!(reason, ShrinkReason::Announced | ShrinkReason::Expiring) {
            self.note(Note::Draining { runner, reason });
        }
        self.act(Action::DrainRunner { runner });
    }

    fn stop_boot(&mut self, runner: RunnerId) {
        if self.fleet.stop(runner).is_some() {
            self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Stopped });
            self.act(Action::Stop { runner });
        }
    }

    /// Paces the boots that would replace a runner which ended before it was of use.
    fn mind_stillborn(&mut self, now: Instant, was: &Runner) {
        let backoff = self.limits.boot_backoff;
        if self.is_draining() {
            return;
        }
        if was.phase == Phase::Booting || was.is_stillborn(now, backoff.max) {
            let gate = self.ladder.lost_young(now, was.rung, &backoff);
            self.note_gate(gate);
        }
    }

    fn note_gate(&mut self, gate: Gate) {
        let failures = self.ladder.rung();
        match gate {
            Gate::Shut { until } => self.note(Note::BackingOff { until, failures }),
            Gate::BreakerOpen { until } => self.note(Note::BreakerOpened { until, failures }),
            Gate::Open | Gate::Trial => {}
        }
    }

    fn ids(&self, wanted: impl Fn(&Runner) -> bool) -> Vec<RunnerId> {
        self.fleet.iter().filter(|(_, runner)| wanted(runner)).map(|(id, _)| id).collect()
    }
}
