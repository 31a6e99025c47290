//! Asking a lane for a slot.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;

use super::effects::Effect;
use super::lease::{CheckoutError, CheckoutResult};
use super::{Lane, LaneState, now};
use crate::pool::call_info::CallInfo;
use crate::pool::state::{Event, WaiterId};

/// A call's request for a slot.
#[derive(Debug)]
pub(crate) struct CheckoutRequest {
    /// Until when the call waits for a slot.
    pub(crate) deadline: Option<Instant>,
    /// Whether the deadline bounds the work as well.
    pub(crate) bounds_work: bool,
    /// The call to name in a `CallQueued` event; `None` sends no such event.
    pub(crate) call: Option<Arc<CallInfo>>,
}

/// Takes the answer to a call that waits. Thousands of calls may wait, so the answer is in a box
/// that exists only when there is an answer.
pub(super) type Caller = oneshot::Sender<Box<CheckoutResult>>;

/// A call that waits for a slot.
pub(super) struct WaitingCaller {
    pub(super) caller: Caller,
    pub(super) call: Option<Arc<CallInfo>>,
}

impl Lane {
    /// Takes a free slot, or a place in the queue.
    pub(crate) fn check_out(&self, request: &CheckoutRequest) -> Checkout<'_> {
        self.step(|locked| {
            if let Some(checkout) = locked.try_check_out(self, request) {
                return checkout;
            }
            let (caller, answer) = oneshot::channel();
            let waiter = WaiterId(locked.next_waiter);
            locked.next_waiter += 1;
            locked.waiters.insert(waiter, WaitingCaller { caller, call: request.call.clone() });
            let CheckoutRequest { deadline, bounds_work, .. } = *request;
            locked.pool.handle(now(), Event::Checkout { waiter, deadline, bounds_work });
            locked.queue_effects(self);
            let queued = locked.waiters.contains_key(&waiter).then_some(waiter);
            Checkout::Pending(PendingCheckout { lane: self, answer, queued })
        })
    }

    /// Takes a free slot. `None` if there is none for this call; then it is not queued either.
    pub(crate) fn try_check_out(&self, request: &CheckoutRequest) -> Option<Checkout<'_>> {
        self.step(|locked| locked.try_check_out(self, request))
    }
}

impl LaneState {
    fn try_check_out<'a>(
        &mut self,
        lane: &'a Lane,
        request: &CheckoutRequest,
    ) -> Option<Checkout<'a>> {
        let CheckoutRequest { deadline, bounds_work, .. } = *request;
        let leased = self.pool.try_checkout(now(), deadline, bounds_work);
        // The effects of this checkout come before its answer.
        self.queue_effects(lane);
        let (id, lease) = leased?;
        let result = self.lease(lane, id, lease);
        if self.is_settled() {
            return Some(Checkout::Answered(result));
        }
        let (caller, answer) = oneshot::channel();
        self.effects.push_back(Effect::Answer { caller, answer: result });
        Some(Checkout::Pending(PendingCheckout { lane, answer, queued: None }))
    }
}

/// What a call gets that asks for a slot. An answer is much larger than a place in the queue, and
/// thousands of calls may wait: so a call that waits keeps only the [`PendingCheckout`].
#[must_use = "dropping it gives up the slot"]
pub(crate) enum Checkout<'a> {
    Answered(CheckoutResult),
    Pending(PendingCheckout<'a>),
}

impl Checkout<'_> {
    /// Whether the call has to wait in the queue.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Pending(PendingCheckout { queued: Some(_), .. }))
    }

    /// The answer, or a wait for it. The wait reserves memory for the answer.
    pub(crate) async fn answer(self) -> CheckoutResult {
        match self {
            Self::Answered(answer) => answer,
            Self::Pending(pending) => pending.await,
        }
    }
}

/// A call that waits for an answer. Cancel-safe: dropped, it gives up its place in the queue, or
/// the lease that it was granted.
#[must_use = "dropping it gives up the slot"]
pub(crate) struct PendingCheckout<'a> {
    lane: &'a Lane,
    answer: oneshot::Receiver<Box<CheckoutResult>>,
    /// The place in the queue, until there is an answer. Without one, the answer is on its way.
    queued: Option<WaiterId>,
}

impl Future for PendingCheckout<'_> {
    type Output = CheckoutResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = std::task::ready!(Pin::new(&mut self.answer).poll(cx));
        self.queued = None;
        // The sender is dropped only with the pool.
        Poll::Ready(answered.map_or(Err(CheckoutError::Draining), |answer| *answer))
    }
}

impl Drop for PendingCheckout<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.queued {
            self.lane.step(|locked| {
                locked.waiters.remove(&waiter);
                locked.pool.handle(now(), Event::CancelCheckout { waiter });
            });
        }
    }
}
