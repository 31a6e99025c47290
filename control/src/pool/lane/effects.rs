//! The effects of an event, carried out after the lane's lock is released.
//!
//! Waking a task, sending on a link, spawning and logging run code of other modules, and of the
//! app: a waker may even call the pool. So none of it happens under the lock. The state machine's
//! actions become effects in one queue, and one thread at a time carries them out, in order. A
//! thread that finds another one at work leaves its effects to that thread, and does not wait.
//!
//! So events are sent in the order in which they happened, whichever threads cause them. A call's
//! answer is an effect like any other, unless no effect is queued before it: so nobody can see a
//! call start before the boot that it waited for has ended.

use std::sync::Arc;
use std::time::Duration;

use flame_link::Link;
use flame_wire::ids::RunnerRef;
use flame_wire::trace::TraceContext;
use tokio::sync::{oneshot, watch};

use super::checkout::Caller;
use super::connection::send_stay_up;
use super::lease::{CheckoutError, CheckoutResult};
use super::{
    Lane, LaneLease, LaneRole, LaneState, RunnerCommand, RunnerEntry, RunnerToBoot, command,
};
use crate::backend::BootFailure;
use crate::metrics::{LaneRecorder, RunnerExit};
use crate::pool::events::{self, PoolEvent};
use crate::pool::state::{Action, GrowOutcome, LeaseId, Note, RunnerId, WaiterId};

/// Something to do once the lock is released.
pub(super) enum Effect {
    Answer {
        caller: Caller,
        answer: CheckoutResult,
    },
    Boot {
        id: RunnerId,
        runner: RunnerRef,
        commands: watch::Receiver<RunnerCommand>,
        waiting_call: Option<TraceContext>,
    },
    Command {
        commands: watch::Sender<RunnerCommand>,
        command: RunnerCommand,
    },
    StayUp {
        link: Link,
        again_in: Option<Duration>,
    },
    Event(PoolEvent),
    Ready,
    Drained,
}

impl Lane {
    /// Changes the state, and carries out the effects of the change.
    pub(super) fn step<R>(&self, change: impl FnOnce(&mut LaneState) -> R) -> R {
        let (result, deliver, timer_changed) = {
            let mut locked = self.locked.lock();
            let result = change(&mut locked);
            locked.queue_effects(self);
            (result, locked.begin_delivery(), locked.timer_changed())
        };
        if deliver {
            self.deliver();
        }
        if timer_changed {
            self.timer_changed.notify_one();
        }
        result
    }

    /// Carries out all effects, including those that other threads queue in the meantime.
    fn deliver(&self) {
        let delivery = DeliveryGuard(self);
        while let Some(effect) = self.next_effect() {
            self.carry_out(effect);
        }
        // `next_effect` has ended the delivery, and another thread may have begun one.
        std::mem::forget(delivery);
    }

    fn next_effect(&self) -> Option<Effect> {
        let mut locked = self.locked.lock();
        let effect = locked.effects.pop_front();
        locked.delivering = effect.is_some();
        effect
    }

    fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Answer { caller, answer } => {
                // If the caller is gone, its lease is dropped here and so checked in.
                let _ = caller.send(Box::new(answer));
            }
            Effect::Boot { id, runner, commands, waiting_call } => {
                if let Some(lane) = self.me.upgrade() {
                    let boot = RunnerToBoot { lane, id, runner, commands, waiting_call };
                    (self.start_supervisor)(boot);
                }
            }
            Effect::Command { commands, command } => command::give(&commands, command),
            Effect::StayUp { link, again_in } => send_stay_up(&link, again_in),
            Effect::Event(event) => self.events().send(event),
            Effect::Ready => {
                self.status.send_modify(|status| status.ready = true);
                if self.role == LaneRole::Primary {
                    self.events().send(PoolEvent::Ready);
                }
            }
            Effect::Drained => {
                self.status.send_modify(|status| status.drained = true);
                if self.role == LaneRole::Primary {
                    self.events().send(PoolEvent::Drained);
                }
            }
        }
    }
}

/// Lets another thread deliver if this one panics. The next step carries out the remaining effects.
struct DeliveryGuard<'a>(&'a Lane);

impl Drop for DeliveryGuard<'_> {
    fn drop(&mut self) {
        self.0.locked.lock().delivering = false;
    }
}

impl LaneState {
    /// Turns the state machine's actions into effects.
    pub(super) fn queue_effects(&mut self, lane: &Lane) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Grant { waiter, runner, lease } => {
                    let answer = self.lease(lane, runner, lease);
                    self.answer(waiter, answer);
                }
                Action::Reject { waiter, error } => self.answer(waiter, Err(error)),
                Action::Boot { runner } => self.boot(runner),
                Action::Stop { runner } => self.command(runner, RunnerCommand::Stop),
                Action::DrainRunner { runner } => self.command(runner, RunnerCommand::Drain),
                Action::StayUp { runner, again_in } => self.stay_up(runner, again_in),
                Action::Note(note) => {
                    record(&lane.recorder, &note);
                    self.note(note);
                }
            }
        }
    }

    /// Whether the calling thread is to carry out the queued effects.
    fn begin_delivery(&mut self) -> bool {
        let begins = !self.delivering && !self.effects.is_empty();
        self.delivering |= begins;
        begins
    }

    /// Whether no effect is queued or being carried out.
    pub(super) fn is_settled(&self) -> bool {
        !self.delivering && self.effects.is_empty()
    }

    /// Whether the timer's task has to wake up and read the timeout again: the timeout is now
    /// earlier, or the lane has drained and the task must end. A later timeout needs no wake-up,
    /// because the task reads it when the earlier time comes.
    fn timer_changed(&self) -> bool {
        let due = self.pool.poll_timeout();
        due.is_some_and(|due| self.timer_due.is_none_or(|armed| due < armed))
            || self.pool.is_drained()
    }

    pub(super) fn lease(&self, lane: &Lane, id: RunnerId, lease: LeaseId) -> CheckoutResult {
        let entry = self.runners.get(&id);
        let runner = entry.and_then(|entry| Some((entry.runner, entry.connection.clone()?)));
        match (runner, lane.me.upgrade()) {
            (Some((runner, connection)), Some(owner)) => {
                Ok(LaneLease::new(owner, lease, runner, connection.link, self.ended_boot))
            }
            // Never: the state machine leases only runners that were reported up, with a
            // connection.
            _ => Err(CheckoutError::Draining),
        }
    }

    fn answer(&mut self, waiter: WaiterId, answer: CheckoutResult) {
        // If the waiter is unknown, its caller is gone. The answer is queued anyway: it may be a
        // lease, and dropping a lease takes the lock, which is held here.
        let caller = self.waiters.remove(&waiter).map(|waiter| waiter.caller);
        let caller = caller.unwrap_or_else(|| oneshot::channel().0);
        self.effects.push_back(Effect::Answer { caller, answer });
    }

    fn boot(&mut self, id: RunnerId) {
        // `generate` returns a reference that no other runner of any process has: see
        // `flame_wire::entropy`.
        let runner =
            RunnerRef::generate().unwrap_or_else(|_| RunnerRef::from_bytes(rand::random()));
        let (sender, commands) = watch::channel(RunnerCommand::Serve);
        self.runners.insert(id, RunnerEntry { runner, commands: sender, connection: None });
        let waiting_call = self.waiting_call();
        self.effects.push_back(Effect::Boot { id, runner, commands, waiting_call });
    }

    /// The newest call, if it waits: the pool grows because of it. Otherwise any call that waits.
    fn waiting_call(&self) -> Option<TraceContext> {
        let newest = self.next_waiter.checked_sub(1).and_then(|id| self.waiters.get(&WaiterId(id)));
        let waiter = newest.or_else(|| self.waiters.values().next())?;
        waiter.call.as_ref().map(|call| call.trace())
    }

    pub(super) fn command(&mut self, id: RunnerId, command: RunnerCommand) {
        if let Some(entry) = self.runners.get(&id) {
            let commands = entry.commands.clone();
            self.effects.push_back(Effect::Command { commands, command });
        }
    }

    fn stay_up(&mut self, id: RunnerId, again_in: Option<Duration>) {
        if let Some(RunnerEntry { connection: Some(connection), .. }) = self.runners.get(&id) {
            let link = connection.link.clone();
            self.effects.push_back(Effect::StayUp { link, again_in });
        }
    }

    fn note(&mut self, note: Note<Arc<BootFailure>>) {
        let effect = match note {
            Note::Ready => Some(Effect::Ready),
            Note::Drained => Some(Effect::Drained),
            Note::Queued { waiter } => self.queued(waiter).map(Effect::Event),
            note => {
                let runner = |id| self.runners.get(&id).map(|entry| entry.runner);
                events::of_note(note, runner).map(Effect::Event)
            }
        };
        self.effects.extend(effect);
    }

    fn queued(&self, waiter: WaiterId) -> Option<PoolEvent> {
        let call = self.waiters.get(&waiter)?.call.as_ref()?;
        Some(PoolEvent::CallQueued { function: call.function(), trace: call.trace() })
    }
}

/// Counts what a note reports.
fn record(recorder: &LaneRecorder, note: &Note<Arc<BootFailure>>) {
    match note {
        Note::GrowEnd { outcome: GrowOutcome::BootFailed(failure), .. } => {
            recorder.boot_failures.add_one(failure.kind.into());
        }
        Note::Shrink { reason, .. } => recorder.runner_exits.add_one((*reason).into()),
        Note::RunnerLost { .. } => recorder.runner_exits.add_one(RunnerExit::Lost),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
