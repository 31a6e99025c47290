//! Asking a pool for a slot: on the lane that has a free one, or by waiting for one.

use std::future::Future;
use std::time::Duration;

use futures_util::future::Either;

use super::burst::{BurstCall, BurstLane};
use super::inner::PoolInner;
use super::lane::{CheckoutError, CheckoutRequest, now};
use super::lease::Lease;

impl PoolInner {
    /// Asks for a slot. Cancel-safe: if the future is dropped, the call loses its place in the
    /// queue, or the lease that it was granted.
    ///
    /// Thousands of calls may wait, so in a pool without a burst lane this future reserves no
    /// memory for the burst lane's part.
    pub(crate) fn check_out(
        &self,
        request: CheckoutRequest,
    ) -> impl Future<Output = Result<Lease, CheckoutError>> {
        match &self.burst {
            None => Either::Left(self.check_out_primary(request)),
            Some(burst) => Either::Right(Box::pin(self.check_out_with_burst(burst, request))),
        }
    }

    async fn check_out_primary(&self, request: CheckoutRequest) -> Result<Lease, CheckoutError> {
        self.primary.check_out(&request).await.map(Lease::primary)
    }

    async fn check_out_with_burst(
        &self,
        burst: &BurstLane,
        mut request: CheckoutRequest,
    ) -> Result<Lease, CheckoutError> {
        if let Some(free) = self.primary.try_check_out(&request) {
            return free.await.map(Lease::primary);
        }
        if burst.accepts(work_bound(&request)) {
            let burst_call = BurstCall::begin(&self.primary);
            let pending = burst.lane.check_out(&request);
            if pending.is_queued() {
                // The call's `CallQueued` event has been sent, and must not be sent again if the
                // call then waits for the primary lane.
                request.call = None;
            }
            match pending.await {
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
