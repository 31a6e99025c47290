//! Asking a lane for a slot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use flame_wire::trace::TraceContext;
use tokio::sync::oneshot;

use super::effects::Effect;
use super::lease::{CheckoutError, CheckoutResult};
use super::{Lane, LaneState, now};
use crate::pool::state::{Event, WaiterId};

/// A call's request for a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckoutRequest {
    /// Until when the call waits for a slot.
    pub(crate) deadline: Option<Instant>,
    /// Whether the deadline bounds the work as well.
    pub(crate) bounds_work: bool,
    /// The call to name in a `CallQueued` event; `None` sends no such event.
    pub(crate) call: Option<QueuedCall>,
}

/// A call, as the events show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedCall {
    pub(crate) function: &'static str,
    pub(crate) trace: TraceContext,
}

/// A call that waits for a slot.
pub(super) struct WaitingCaller {
    pub(super) caller: oneshot::Sender<CheckoutResult>,
    pub(super) call: Option<QueuedCall>,
}

impl Lane {
    /// Takes a free slot, or a place in the queue.
    pub(crate) fn check_out(&self, request: &CheckoutRequest) -> PendingCheckout<'_> {
        let stage = self.step(|locked| {
            if let Some(stage) = locked.try_check_out(self, request) {
                return stage;
            }
            let (caller, answer) = oneshot::channel();
            let waiter = WaiterId(locked.next_waiter);
            locked.next_waiter += 1;
            locked.waiters.insert(waiter, WaitingCaller { caller, call: request.call });
            let CheckoutRequest { deadline, bounds_work, .. } = *request;
            locked.pool.handle(now(), Event::Checkout { waiter, deadline, bounds_work });
            locked.queue_effects(self);
            let queued = locked.waiters.contains_key(&waiter).then_some(waiter);
            Stage::Waiting { answer, queued }
        });
        PendingCheckout { lane: self, stage }
    }

    /// Takes a free slot. `None` if there is none for this call; then it is not queued either.
    pub(crate) fn try_check_out(&self, request: &CheckoutRequest) -> Option<PendingCheckout<'_>> {
        let stage = self.step(|locked| locked.try_check_out(self, request))?;
        Some(PendingCheckout { lane: self, stage })
    }
}

impl LaneState {
    fn try_check_out(&mut self, lane: &Lane, request: &CheckoutRequest) -> Option<Stage> {
        let CheckoutRequest { deadline, bounds_work, .. } = *request;
        let leased = self.pool.try_checkout(now(), deadline, bounds_work);
        // The effects of this checkout come before its answer.
        self.queue_effects(lane);
        let (id, lease) = leased?;
        let result = self.lease(lane, id, lease);
        if self.is_settled() {
            return Some(Stage::Ready(result));
        }
        let (caller, answer) = oneshot::channel();
        self.effects.push_back(Effect::Answer { caller, answer: result });
        Some(Stage::Waiting { answer, queued: None })
    }
}

/// A call that has asked for a slot. Cancel-safe: dropped, it gives up its place in the queue, or
/// the lease that it was granted.
#[must_use = "dropping it gives up the slot"]
pub(crate) struct PendingCheckout<'a> {
    lane: &'a Lane,
    stage: Stage,
}

enum Stage {
    Ready(CheckoutResult),
    /// `queued` is the place in the queue. Without one, the answer is on its way.
    Waiting {
        answer: oneshot::Receiver<CheckoutResult>,
        queued: Option<WaiterId>,
    },
    Done,
}

impl PendingCheckout<'_> {
    /// Whether the call had to wait in the queue.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.stage, Stage::Waiting { queued: Some(_), .. })
    }
}

impl Future for PendingCheckout<'_> {
    type Output = CheckoutResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Waiting { answer, .. } = &mut self.stage {
            let answered = std::task::ready!(Pin::new(answer).poll(cx));
            self.stage = Stage::Done;
            // The sender is dropped only with the pool.
            return Poll::Ready(answered.unwrap_or(Err(CheckoutError::Draining)));
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Ready(result) => Poll::Ready(result),
            _ => Poll::Pending,
        }
    }
}

impl Drop for PendingCheckout<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting { queued: Some(waiter), .. } = self.stage {
            self.lane.step(|locked| {
                locked.waiters.remove(&waiter);
                locked.pool.handle(now(), Event::CancelCheckout { waiter });
            });
        }
    }
}
