//! The cost of runners: an estimate from AWS's public prices.
//!
//! Every figure here is an **estimate**. The bill has more: data transfer, logs, public addresses,
//! NAT gateways, the free tier, savings plans, and taxes. Prices also change, and differ between
//! regions. [`Prices`] has the prices that this crate uses, and an app can replace each of them.
//!
//! - [`Pool::costs`](crate::Pool::costs) shows a pool's costs: until now, per hour at this moment,
//!   and per call.
//! - The metric `flame.cost.estimated` is a pool's cost in US dollars; see
//!   [`metrics`](crate::metrics).
//! - [`PoolEvent::CallFinished`](crate::PoolEvent::CallFinished) has the cost of one call.
//! - [`PoolBuilder::budget`](crate::PoolBuilder::budget) limits the cost per hour.
//!
//! ```
//! use flame_aws::Pool;
//! use flame_aws::backend::Local;
//! use flame_aws::cost::{Budget, Prices};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut prices = Prices::default();
//! prices.fargate_x86.vcpu_hour = 0.0506; // of another region
//! let pool = Pool::builder("thumbs")
//!     .backend(Local::new()) // costs nothing
//!     .prices(prices)
//!     .budget(Budget::per_hour(2.0).refuse())
//!     .start()
//!     .await?;
//! println!("{}", pool.costs());
//! # assert_eq!(pool.costs().total, 0.0);
//! # pool.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! # How an instance is counted
//!
//! | backend | from | until | at least |
//! |---|---|---|---|
//! | `Ecs` | the start of the image's download, or the request while that start is not known | the task has stopped | one minute |
//! | `Lambda` | the request | the invocation has ended | |
//! | `Local`, `Process` | costs nothing | | |
//!
//! A runner costs the same whether its slots are used or not. So the cost of one call is the price
//! of the runner for the time of the call, divided by the runner's slots. The time in which slots
//! are free belongs to no call. It is in the pool's total, and so in the pool's cost per call.

use std::fmt;

mod budget;
mod meter;
mod prices;

pub use budget::Budget;
pub(crate) use meter::Meter;
pub use prices::{Architecture, FargatePrices, InstancePrice, InstanceSize, LambdaPrices, Prices};

/// The costs of a pool: an estimate, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Costs {
    /// All instances since the pool started.
    pub total: f64,
    /// The instances that exist now, per hour.
    pub per_hour: f64,
    /// The total, divided by the calls that were sent to a runner and have ended. `None` while
    /// there are none.
    pub per_call: Option<f64>,
}

impl Costs {
    /// From the total, the rate, and the number of calls.
    pub(crate) fn new(total: f64, per_hour: f64, calls: u64) -> Self {
        let per_call = (calls > 0).then(|| total / crate::metrics::as_f64(calls));
        Self { total, per_hour, per_call }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, per_hour, per_call } = self;
        write!(f, "{total:.4} USD until now, {per_hour:.4} USD per hour now")?;
        if let Some(per_call) = per_call {
            write!(f, ", {per_call:.8} USD per call")?;
        }
        f.write_str(" (estimate)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_shown_as_an_estimate() {
        let shown = Costs::new(1.5, 0.25, 3).to_string();
        assert_eq!(
            shown,
            "1.5000 USD until now, 0.2500 USD per hour now, 0.50000000 USD per call (estimate)"
        );
        assert_eq!(Costs::new(1.5, 0.25, 0).per_call, None);
    }
}
