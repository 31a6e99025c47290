//! A pool whose boots are blocked boots nothing, and rejects calls at once.

use super::sim::*;
use crate::pool::state::*;

const WHY: &str = "no copy would become a runner";

#[test]
fn with_boots_blocked_nothing_boots_and_calls_that_need_a_boot_are_rejected() {
    let (mut sim, first) =
        Sim::with_boots_blocked(PoolLimits { min: 1, min_free_slots: 1, ..limits(4, 1) }, WHY);
    assert_eq!(first, []);
    for waiter in 0..10 {
        assert_eq!(sim.checkout(waiter), [reject(waiter, CheckoutError::BootFailed(WHY))]);
    }
    assert_eq!(sim.advance(1_000_000), [], "it boots nothing later");
    assert_eq!(sim.pool.poll_timeout(), None);
    assert!(sim.notes.is_empty(), "no boot has started, failed or paused: {:?}", sim.notes);
}

#[test]
fn once_unblocked_the_pool_boots_min_at_once() {
    let (mut sim, _) = Sim::with_boots_blocked(PoolLimits { min: 2, ..limits(4, 1) }, WHY);
    assert!(!sim.pool.is_ready());
    assert_eq!(sim.event(Event::UnblockBoots), boots(0..2));
    sim.up(0);
    sim.up(1);
    assert!(sim.pool.is_ready());
}

#[test]
fn once_unblocked_the_pool_boots_for_new_calls() {
    let (mut sim, _) = Sim::with_boots_blocked(limits(1, 1), WHY);
    assert_eq!(sim.checkout(0), [reject(0, CheckoutError::BootFailed(WHY))]);
    assert_eq!(sim.event(Event::UnblockBoots), []);
    assert_eq!(sim.checkout(1), [boot(0)]);
    assert_eq!(sim.up(0), [grant(1, 0, 0)]);
}

#[test]
fn with_boots_blocked_the_pool_says_why_is_full_and_can_drain() {
    let (mut sim, _) = Sim::with_boots_blocked(limits(4, 1), WHY);
    assert_eq!(sim.growth(), Growth::Blocked { why: WHY });
    let said = sim.pool.explain(sim.now).to_string();
    assert!(said.ends_with(&format!("not growing: {WHY}")), "{said}");
    assert_eq!(
        sim.availability(),
        SlotAvailability::Full,
        "calls go to the burst backend, if there is one"
    );
    sim.drain();
    assert!(sim.pool.is_drained());
    assert_eq!(sim.growth(), Growth::Draining);
}
