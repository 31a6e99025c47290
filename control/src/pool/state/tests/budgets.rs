//! A pool with a budget.

use super::sim::*;
use crate::pool::state::*;

fn budget(runners: u32, refuses: bool) -> PoolLimits {
    PoolLimits { budget: Some(BudgetLimit { runners, refuses }), ..limits(4, 2) }
}

#[test]
fn calls_wait_when_the_budget_pays_for_no_more_runners_and_explain_says_so() {
    let mut sim = Sim::new(budget(1, false));
    assert_eq!(sim.checkout(0), [boot(0)]);
    assert_eq!([1, 2, 3].map(|waiter| sim.checkout(waiter).len()), [0; 3]);
    let explained = sim.pool.explain(sim.now);
    assert_eq!(explained.growth, Growth::OverBudget { runners: 1 });
    assert!(explained.to_string().contains("budget pays for 1 runners"), "{explained}");
    sim.up(0);
    assert_eq!(sim.check_in(0).len(), 1, "the third call gets the slot");
}

#[test]
fn a_budget_that_refuses_rejects_the_calls_for_which_no_slot_is_coming() {
    let mut sim = Sim::new(budget(2, true));
    assert_eq!(sim.checkout(0), [boot(0)]);
    assert_eq!(sim.checkout(1), [], "the boot has two slots");
    assert_eq!(sim.checkout(2), [boot(1)]);
    assert_eq!(sim.checkout(3), []);
    assert_eq!(sim.checkout(4), [reject(4, CheckoutError::OverBudget)]);
    sim.up(0);
    sim.up(1);
    assert_eq!(sim.checkout(5), [reject(5, CheckoutError::OverBudget)]);
    sim.check_in(0);
    assert_eq!(sim.checkout(6).len(), 1, "a slot is free");
}

#[test]
fn an_instance_that_shuts_down_still_costs_money() {
    let mut sim = Sim::with_up(PoolLimits { single_use: true, ..budget(1, true) }, 1);
    sim.checkout(0);
    sim.check_in(0);
    assert_eq!(sim.checkout(1), [reject(1, CheckoutError::OverBudget)]);
    sim.gone(0);
    assert_eq!(sim.checkout(2), [boot(1)]);
}

#[test]
fn calls_wait_for_a_pool_that_has_reached_max_within_its_budget() {
    let mut sim = Sim::new(PoolLimits { max: 1, ..budget(1, true) });
    assert_eq!(sim.checkout(0), [boot(0)]);
    sim.checkout(1);
    assert_eq!(sim.checkout(2), [], "`max` is the reason, not the budget");
    assert_eq!(sim.pool.explain(sim.now).growth, Growth::MaxReached);
}

#[test]
fn a_pool_over_its_budget_is_full_for_calls_that_burst() {
    let mut sim = Sim::new(budget(1, false));
    assert_eq!(sim.availability(), SlotAvailability::AfterBoot);
    (0..2).for_each(|waiter| drop(sim.checkout(waiter)));
    assert_eq!(sim.availability(), SlotAvailability::Full);
}
