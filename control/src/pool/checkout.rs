//! Asking a pool for a slot: on the lane that has a free one, or by waiting for one.

use std::time::Duration;

use super::burst::{BurstCall, BurstLane};
use super::inner::PoolInner;
use super::lane::{Checkout, CheckoutError, CheckoutRequest, now};
use super::lease::Lease;

impl PoolInner {
    /// Asks for a slot. Cancel-safe: if the future is dropped, the call loses its place in the
    /// queue, or the lease that it was granted.
    ///
    /// Thousands of calls may wait, so in a pool without a burst lane this future reserves no
    /// memory for the burst lane's part.
    pub(crate) async fn check_out(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Lease, CheckoutError> {
        match &self.burst {
            None => self.check_out_primary(request).await,
            Some(burst) => Box::pin(self.check_out_with_burst(burst, request)).await,
        }
    }

    async fn check_out_primary(&self, request: &CheckoutRequest) -> Result<Lease, CheckoutError> {
        let pending = match self.primary.check_out(request) {
            Checkout::Answered(answer) => return answer.map(Lease::primary),
            Checkout::Pending(pending) => pending,
        };
        pending.await.map(Lease::primary)
    }

    async fn check_out_with_burst(
        &self,
        burst: &BurstLane,
        request: &CheckoutRequest,
    ) -> Result<Lease, CheckoutError> {
        if let Some(free) = self.primary.try_check_out(request) {
            return free.answer().await.map(Lease::primary);
        }
        // The call's `CallQueued` event is sent once, even if the call waits for both lanes.
        let unnamed = CheckoutRequest { call: None, ..*request };
        let mut request = request;
        if burst.accepts(work_bound(request)) {
            let burst_call = BurstCall::begin(&self.primary);
            let checkout = burst.lane.check_out(request);
            if checkout.is_queued() {
                request = &unnamed;
            }
            match checkout.answer().await {
                Ok(slot) => return Ok(Lease::burst(slot, burst_call)),
                Err(timeout @ CheckoutError::Timeout { .. }) => return Err(timeout),
                // The call has not run, and the primary lane may have a slot for it.
                Err(
                    CheckoutError::BootFailed(_)
                    | CheckoutError::QueueFull { .. }
                    | CheckoutError::OverBudget
                    | CheckoutError::Draining,
                ) => {}
            }
        }
        self.check_out_primary(request).await
    }
}

/// The longest time that the work can take from now on, if that is known.
fn work_bound(request: &CheckoutRequest) -> Option<Duration> {
    let deadline = request.deadline.filter(|_| request.bounds_work)?;
    Some(deadline.saturating_duration_since(now()))
}
