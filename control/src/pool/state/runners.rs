//! How runners come up, fail, get lost, idle, retire and drain. The words are those of `fleet.rs`.
//!
//! A runner that is lost or shuts down before it has served a call counts towards the backoff like
//! a failed boot, so that a pool with a `min` does not boot in a loop.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::DrainStage;
use super::PoolState;
use super::breaker::BreakerState;
use super::event::{Action, CheckoutError, GrowOutcome, Note, ShrinkReason};
use super::fleet::{FleetRunner, RunnerPhase};
use super::ids::{LeaseId, RunnerId};
use super::limits::LimitsChange;

impl<F: Clone> PoolState<F> {
    pub(super) fn runner_up(&mut self, now: Instant, runner: RunnerId, expires: Option<Instant>) {
        match self.fleet.phase(runner) {
            Some(RunnerPhase::Booting) => {
                self.fleet.came_up(runner, now, expires);
                self.last_failure = None;
                self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Up });
                if self.breaker.came_up(now, &self.limits.boot_backoff) {
                    self.note(Note::BreakerClosed);
                }
            }
            // It was stopped, and came up all the same: stop it again.
            Some(RunnerPhase::Stopping) => self.act(Action::Stop { runner }),
            None if self.fleet.has_issued(runner) => self.act(Action::Stop { runner }),
            Some(_) | None => {}
        }
    }

    /// Only a boot can fail: a runner that was up and then dies is reported by `RunnerLost`.
    pub(super) fn boot_failed(&mut self, now: Instant, runner: RunnerId, failure: F) {
        if self.fleet.phase(runner) != Some(RunnerPhase::Booting) {
            return;
        }
        let Some((boot, _)) = self.fleet.stop(runner) else { return };
        let outcome = GrowOutcome::BootFailed(failure.clone());
        self.note(Note::GrowEnd { runner, outcome });
        self.act(Action::Stop { runner });
        self.last_failure = Some(failure.clone());
        let breaker =
            self.breaker.boot_failed(now, boot.failures_before, &self.limits.boot_backoff);
        self.note_breaker(breaker);
        if self.fleet.up() == 0 && self.fleet.booting() == 0 {
            self.reject_all(&CheckoutError::BootFailed(failure));
        }
    }

    pub(super) fn runner_lost(&mut self, now: Instant, runner: RunnerId) {
        let Some((was, leases)) = self.fleet.stop(runner) else { return };
        if was.phase == RunnerPhase::Booting {
            self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Lost });
        } else {
            self.note(Note::RunnerLost { runner, leases });
        }
        self.act(Action::Stop { runner });
        self.back_off_if_unused(now, &was);
    }

    pub(super) fn runner_gone(&mut self, now: Instant, runner: RunnerId) {
        let was = self.fleet.stop(runner);
        self.fleet.forget(runner);
        // For a runner that was stopped, the note was made when it was stopped.
        let Some((was, leases)) = was else { return };
        match was.phase {
            RunnerPhase::Stopping => {}
            RunnerPhase::Booting => self.note(Note::GrowEnd { runner, outcome: GrowOutcome::Lost }),
            _ => self.note_end(runner, was.phase, leases, ShrinkReason::Announced),
        }
        self.back_off_if_unused(now, &was);
    }

    /// Somebody wants the runner to end: it keeps its leases, and gets no more. A boot is stopped.
    pub(super) fn drain_requested(&mut self, runner: RunnerId) {
        let reason = ShrinkReason::Requested;
        match self.fleet.phase(runner) {
            Some(RunnerPhase::Booting) => self.stop_boot(runner),
            // A runner that a resize has retired might be up again after the next one.
            Some(RunnerPhase::Up | RunnerPhase::Retiring(ShrinkReason::Resize)) => {
                self.note(Note::Draining { runner, reason });
                self.retire(runner, reason);
            }
            // It ends already.
            Some(RunnerPhase::Retiring(_) | RunnerPhase::Draining(_) | RunnerPhase::Stopping) => {}
            None => {}
        }
    }

    /// Somebody wants the runner to end at once, with the calls on it.
    pub(super) fn stop_requested(&mut self, runner: RunnerId) {
        if self.fleet.phase(runner) == Some(RunnerPhase::Booting) {
            return self.stop_boot(runner);
        }
        let Some((was, leases)) = self.fleet.stop(runner) else { return };
        self.note_end(runner, was.phase, leases, ShrinkReason::Requested);
        self.act(Action::Stop { runner });
    }

    /// Notes the end of a runner that had come up. With leases it is lost. Without, it ends for the
    /// reason for which it was retired or drained, or else for this one.
    fn note_end(
        &mut self,
        runner: RunnerId,
        was: RunnerPhase,
        leases: Vec<LeaseId>,
        or_else: ShrinkReason,
    ) {
        let reason = match was {
            RunnerPhase::Retiring(reason) | RunnerPhase::Draining(reason) => reason,
            RunnerPhase::Booting | RunnerPhase::Up | RunnerPhase::Stopping => or_else,
        };
        self.note(if leases.is_empty() {
            Note::Shrink { runner, reason }
        } else {
            Note::RunnerLost { runner, leases }
        });
    }

    /// The runner must shut down. It still serves the calls that are sent to it until it is told to
    /// drain, which happens when its last lease has been returned. So a call that is sent while the
    /// announcement travels is served.
    pub(super) fn shutdown_announced(&mut self, now: Instant, id: RunnerId) {
        let Some(&runner) = self.fleet.get(id) else { return };
        match runner.phase {
            // The pool has told the runner to shut down, or will, for a reason of its own.
            RunnerPhase::Draining(_) | RunnerPhase::Stopping => return,
            RunnerPhase::Retiring(reason) if reason != ShrinkReason::Resize => return,
            RunnerPhase::Booting => {
                self.note(Note::GrowEnd { runner: id, outcome: GrowOutcome::Up });
            }
            RunnerPhase::Up | RunnerPhase::Retiring(_) => {}
        }
        let reason = ShrinkReason::Announced;
        self.note(Note::Draining { runner: id, reason });
        self.retire(id, reason);
        self.back_off_if_unused(now, &runner);
    }

    /// Retires a runner that might expire before the next call completes, to make room for another
    /// runner.
    pub(super) fn retire_expiring(&mut self, now: Instant, id: RunnerId) {
        let Some(&runner) = self.fleet.get(id) else { return };
        let reason = ShrinkReason::Expiring;
        self.note(Note::Draining { runner: id, reason });
        self.retire(id, reason);
        self.back_off_if_unused(now, &runner);
    }

    /// The runner offers to shut down. It stays up if it has been leased in the meantime.
    pub(super) fn idle_proposed(&mut self, id: RunnerId, idle_for: Duration) {
        let Some(&runner) = self.fleet.get(id) else { return };
        let again_in = match runner.phase {
            RunnerPhase::Booting | RunnerPhase::Draining(_) | RunnerPhase::Stopping => return,
            RunnerPhase::Retiring(_) => None,
            RunnerPhase::Up if runner.leases > 0 || self.free_slots_need_one_more() => None,
            RunnerPhase::Up if self.fleet.up() > self.kept_min => {
                return self.drain_runner(id, ShrinkReason::Idle);
            }
            RunnerPhase::Up => match self.limits.min_idle_shutdown_after {
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

    /// Whether too few slots would be free without one idle runner, so that the pool would boot
    /// another in its place.
    fn free_slots_need_one_more(&self) -> bool {
        let slots = u64::from(self.limits.slots_per_runner());
        let wanted = u64::from(self.limits.min_free_slots).saturating_add(self.burst_calls);
        self.fleet.free() < wanted.saturating_add(slots)
    }

    pub(super) fn resize(&mut self, change: &LimitsChange) {
        self.limits = self.limits.changed(change);
        debug_assert_eq!(self.limits.out_of_range(), []);
        self.kept_min = self.limits.min;
        self.fleet.set_slots(self.limits.slots_per_runner());
        if !self.is_draining() {
            self.cancel_resize_retirements();
            self.shrink_to_max();
            self.ready_noted &= self.is_ready();
        }
    }

    /// Runners that retire because of an earlier resize are up again; `shrink_to_max` then chooses
    /// again which runners must retire.
    fn cancel_resize_retirements(&mut self) {
        for id in self.ids(|runner| runner.phase == RunnerPhase::Retiring(ShrinkReason::Resize)) {
            self.fleet.set_phase(id, RunnerPhase::Up);
        }
    }

    /// Reduces the number of runners to `max`: stops the latest boots first, which have served
    /// nobody, and then retires runners, the least loaded first. A busy runner drains when its last
    /// lease has been returned.
    fn shrink_to_max(&mut self) {
        let mut excess = (self.fleet.up() + self.fleet.booting()).saturating_sub(self.limits.max);
        let boots = self.ids(|runner| runner.phase == RunnerPhase::Booting);
        for id in boots.into_iter().rev().take(excess as usize) {
            self.stop_boot(id);
            excess -= 1;
        }
        let mut serving = self.ids(|runner| runner.phase == RunnerPhase::Up);
        serving.sort_by_key(|&id| (self.fleet.get(id).map(|runner| runner.leases), Reverse(id)));
        for id in serving.into_iter().take(excess as usize) {
            self.retire(id, ShrinkReason::Resize);
        }
    }

    /// Drains the whole pool.
    pub(super) fn drain_pool(&mut self) {
        if self.is_draining() {
            return;
        }
        self.stage = DrainStage::Draining;
        self.reject_all(&CheckoutError::Draining);
        for id in self.ids(|runner| runner.phase == RunnerPhase::Booting) {
            self.stop_boot(id);
        }
        for id in self.ids(|runner| runner.phase == RunnerPhase::Up) {
            self.retire(id, ShrinkReason::PoolDrain);
        }
    }

    /// The runner gets no more leases: it drains now if it holds none, and otherwise when its last
    /// lease has been returned.
    pub(super) fn retire(&mut self, id: RunnerId, reason: ShrinkReason) {
        match self.fleet.get(id) {
            Some(runner) if runner.leases > 0 => {
                self.fleet.set_phase(id, RunnerPhase::Retiring(reason))
            }
            Some(_) => self.drain_runner(id, reason),
            None => {}
        }
    }

    /// Tells a runner that holds no lease to shut down.
    pub(super) fn drain_runner(&mut self, runner: RunnerId, reason: ShrinkReason) {
        self.fleet.set_phase(runner, RunnerPhase::Draining(reason));
        // For these reasons the note was made when the runner retired.
        let is_noted = matches!(
            reason,
            ShrinkReason::Announced | ShrinkReason::Expiring | ShrinkReason::Requested
        );
        if !is_noted {
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

    /// Slows down the boots that replace a runner which is lost, or shuts down, unused.
    fn back_off_if_unused(&mut self, now: Instant, was: &FleetRunner) {
        let backoff = self.limits.boot_backoff;
        if self.is_draining() {
            return;
        }
        if was.phase == RunnerPhase::Booting || was.is_unused(now, backoff.max) {
            let breaker = self.breaker.runner_unused(now, was.failures_before, &backoff);
            self.note_breaker(breaker);
        }
    }

    fn note_breaker(&mut self, breaker: BreakerState) {
        let failures = self.breaker.failures();
        match breaker {
            BreakerState::BackingOff { until } => self.note(Note::BackingOff { until, failures }),
            BreakerState::Open { until } => self.note(Note::BreakerOpened { until, failures }),
            BreakerState::Closed | BreakerState::HalfOpen => {}
        }
    }

    fn ids(&self, wanted: impl Fn(&FleetRunner) -> bool) -> Vec<RunnerId> {
        self.fleet.iter().filter(|(_, runner)| wanted(runner)).map(|(id, _)| id).collect()
    }
}
