//! The limit of a pool's cost per hour. Pure.

use super::prices::InstancePrice;
use crate::error::BadOption;
use crate::pool::state::BudgetLimit;

/// The most that a pool may cost per hour; see
/// [`PoolBuilder::budget`](crate::PoolBuilder::budget).
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a budget does nothing until a pool has it"]
pub struct Budget {
    per_hour: f64,
    refuse: bool,
}

impl From<f64> for Budget {
    fn from(dollars: f64) -> Self {
        Self::per_hour(dollars)
    }
}

impl Budget {
    /// At most this many US dollars per hour, by the estimate of [`Prices`](super::Prices). Calls
    /// that would need more runners wait.
    pub fn per_hour(dollars: f64) -> Self {
        Self { per_hour: dollars, refuse: false }
    }

    /// Calls that would need more runners get [`OverBudget`](crate::CallError::OverBudget), instead
    /// of waiting.
    pub fn refuse(mut self) -> Self {
        self.refuse = true;
        self
    }

    pub(crate) fn dollars(&self) -> f64 {
        self.per_hour
    }

    /// An error, unless the budget is an amount of money.
    pub(crate) fn check(&self) -> Option<BadOption> {
        let is_amount = self.per_hour.is_finite() && self.per_hour > 0.0;
        (!is_amount).then(|| BadOption {
            option: "budget",
            why: format!("is {} USD per hour, but must be above 0", self.per_hour),
        })
    }

    /// The number of runners that the budget pays for, on the primary and on the burst backend. The
    /// primary backend comes first, with up to `max` runners, and the burst backend gets the rest.
    pub(crate) fn divide(
        &self,
        primary: (InstancePrice, u32),
        burst: Option<InstancePrice>,
    ) -> Result<(Option<BudgetLimit>, Option<BudgetLimit>), BadOption> {
        let (price, max) = primary;
        let for_primary = runners(self.per_hour, price.per_hour);
        if for_primary == Some(0) {
            return Err(self.too_low("a runner", price.per_hour));
        }
        let spent = f64::from(for_primary.unwrap_or(max).min(max)) * price.per_hour;
        let for_burst = burst.map(|burst| (burst, runners(self.per_hour - spent, burst.per_hour)));
        if let Some((burst, Some(0))) = for_burst {
            let what = "a runner of the burst backend, besides those of the primary backend,";
            return Err(self.too_low(what, spent + burst.per_hour));
        }
        let limit = |runners, refuses| BudgetLimit { runners, refuses };
        let primary = for_primary.map(|runners| limit(runners, self.refuse));
        // A call that the burst backend can't serve waits for the primary one, or is refused there.
        let burst = for_burst.and_then(|(_, runners)| runners).map(|runners| limit(runners, false));
        Ok((primary, burst))
    }

    fn too_low(&self, what: &str, needed: f64) -> BadOption {
        let why = format!(
            "is {} USD per hour, but {what} costs {needed:.4} USD per hour (estimate): raise \
             `budget`, lower `max`, or choose smaller instances",
            self.per_hour
        );
        BadOption { option: "budget", why }
    }
}

/// How many runners at this price an amount pays for; `None` if they cost nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped to the range of u32"
)]
fn runners(dollars: f64, price: f64) -> Option<u32> {
    // An amount that is exact in decimal may miss a multiple of the price by its last bit.
    let count = || (dollars / price + 1e-9).clamp(0.0, f64::from(u32::MAX)) as u32;
    (price > 0.0).then(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(per_hour: f64) -> InstancePrice {
        InstancePrice::per_hour(per_hour)
    }

    fn counts(budget: Budget, max: u32, burst: Option<f64>) -> (Option<u32>, Option<u32>) {
        let (primary, burst) = budget.divide((price(0.1), max), burst.map(price)).unwrap();
        (primary.map(|limit| limit.runners), burst.map(|limit| limit.runners))
    }

    #[test]
    fn the_primary_backend_comes_first_and_the_burst_backend_gets_the_rest() {
        let budget = Budget::per_hour(1.0);
        assert_eq!(counts(budget, 100, None), (Some(10), None));
        assert_eq!(counts(budget, 4, Some(0.3)), (Some(10), Some(2)));
        assert_eq!(counts(Budget::per_hour(0.3), 4, None), (Some(3), None));
        assert_eq!(counts(budget, 4, Some(0.0)), (Some(10), None), "it costs nothing");
    }

    #[test]
    fn a_budget_that_pays_for_no_runner_is_an_error_that_says_what_one_costs() {
        let error = Budget::per_hour(0.05).divide((price(0.1), 4), None).unwrap_err();
        assert!(error.option == "budget" && error.why.contains("0.1000 USD"), "{error}");
        let error = Budget::per_hour(0.4).divide((price(0.1), 4), Some(price(0.2))).unwrap_err();
        assert!(error.why.contains("burst backend"), "{error}");
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Budget::per_hour(wrong).check().is_some(), "{wrong}");
        }
    }

    #[test]
    fn only_the_primary_backend_refuses_calls() {
        let budget = Budget::per_hour(1.0).refuse();
        let (primary, burst) = budget.divide((price(0.1), 4), Some(price(0.1))).unwrap();
        assert!(primary.unwrap().refuses && !burst.unwrap().refuses);
    }
}
