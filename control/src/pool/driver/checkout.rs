//! Asking for a slot: on the backend that has one, or by waiting for it.

use std::future::Future;
use std::time::Instant;

use futures_util::future::Either;
use tokio::sync::oneshot;

use super::{Answer, Core, Shared, now};
use crate::pool::burst::{Burst, Elsewhere, Way};
use crate::pool::state::{Event, Refusal, Room, WaiterId};

/// What a call asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// A slot until then.
    pub(crate) deadline: Option<Instant>,
    /// The deadline bounds the work, too.
    pub(crate) bounded: bool,
}

impl Shared {
    /// Asks for a slot. Cancel-safe: dropped, it gives up its place, or the lease it was granted.
    ///
    /// Thousands may wait: so a pool without a burst has no room in this future for one.
    pub(crate) fn check_out(&self, wanted: &Wanted) -> impl Future<Output = Answer> {
        match self.burst.get() {
            None => Either::Left(self.line_up(wanted)),
            Some(burst) => Either::Right(Box::pin(self.over_both(burst, wanted))),
        }
    }

    /// Asks both backends.
    async fn over_both(&self, burst: &Burst, wanted: &Wanted) -> Answer {
        if let Some(answer) = self.take_free(wanted) {
            return answer;
        }
        if let Some(answer) = self.burst_out(burst, wanted).await {
            return answer;
        }
        self.line_up(wanted).await
    }

    /// A slot that is free at once.
    fn take_free(&self, wanted: &Wanted) -> Option<Answer> {
        let mut core = self.lock();
        if core.state.room(now()) != Room::Slot {
            return None;
        }
        let waiter = core.ask(wanted);
        // Without effect where it was answered.
        core.state.handle(now(), Event::CancelCheckout { waiter });
        let mut effects = core.effects(self, Some(waiter));
        drop(core);
        let answer = effects.own.take();
        self.carry_out(effects);
        answer
    }

    /// A slot of the burst backend; `None` where this is not the way.
    async fn burst_out(&self, burst: &Burst, wanted: &Wanted) -> Option<Answer> {
        let now = now();
        let bound = wanted.deadline.filter(|_| wanted.bounded);
        let work = bound.map(|until| until.saturating_duration_since(now));
        if burst.policy.way(work, burst.pool.read(|state| state.room(now))) == Way::First {
            return None;
        }
        let elsewhere = Elsewhere::begin(self.me.clone());
        match burst.pool.line_up(wanted).await {
            Ok(lease) => Some(Ok(lease.elsewhere(elsewhere))),
            Err(timeout @ Refusal::Timeout { .. }) => Some(Err(timeout)),
            // It was not run, and the first backend may have what the burst has not.
            Err(Refusal::BootFailed(_) | Refusal::QueueFull { .. } | Refusal::Draining) => None,
        }
    }

    /// Takes a slot of this backend, or a place in its queue.
    async fn line_up(&self, wanted: &Wanted) -> Answer {
        let (waiter, answer) = {
            let (sender, receiver) = oneshot::channel();
            let mut core = self.lock();
            let waiter = core.ask(wanted);
            let mut effects = core.effects(self, Some(waiter));
            if let Some(answer) = effects.own.take() {
                drop(core);
                self.carry_out(effects);
                return answer;
            }
            core.waiters.insert(waiter, sender);
            drop(core);
            self.carry_out(effects);
            (waiter, receiver)
        };
        let mut guard = Waiting { shared: self, waiter, answered: false };
        let answer = answer.await;
        guard.answered = true;
        // The sender is dropped only with the pool.
        answer.unwrap_or(Err(Refusal::Draining))
    }
}

impl Core {
    /// Puts a new waiter in line.
    fn ask(&mut self, wanted: &Wanted) -> WaiterId {
        let waiter = WaiterId(self.asked);
        self.asked += 1;
        let Wanted { deadline, bounded } = *wanted;
        self.state.handle(now(), Event::Checkout { waiter, deadline, bounded });
        waiter
    }
}

/// Gives a waiter's place up when its future is dropped.
struct Waiting<'a> {
    shared: &'a Shared,
    waiter: WaiterId,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let waiter = self.waiter;
            self.shared.step(|core| {
                core.waiters.remove(&waiter);
                core.state.handle(now(), Event::CancelCheckout { waiter });
            });
        }
    }
}
