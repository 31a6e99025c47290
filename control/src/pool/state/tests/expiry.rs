//! Runners that expire: a call that would be cut off goes to another runner.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn a_call_that_completes_before_the_runner_expires_is_granted() {
    let mut sim = Sim::new(limits(1, 2));
    assert_eq!(sim.checkout_within(1, 100), [boot(0)]);
    assert_eq!(sim.up_for(0, 100), [grant(1, 0, 0)]);
}

#[test]
fn a_call_that_would_be_cut_off_waits_for_a_runner_that_expires_later() {
    let mut sim = Sim::new(limits(2, 2));
    assert_eq!(sim.checkout_within(1, 100), [boot(0)]);
    assert_eq!(sim.up_for(0, 1_000), [grant(1, 0, 0)]);
    sim.advance(901);
    assert_eq!(sim.checkout_within(2, 100), [boot(1)], "runner 0 has 99 ms left");
    assert_eq!(sim.check_in(0), [drain_runner(0)], "runner 0 drains after its last call");
    assert_eq!(sim.up_for(1, 1_000), [grant(2, 1, 1)]);
}

#[test]
fn an_empty_runner_without_enough_time_makes_room_at_once() {
    let mut sim = Sim::with_up(limits(1, 1), 0);
    assert_eq!(sim.checkout_within(1, 10), [boot(0)]);
    assert_eq!(sim.up_for(0, 2_000), [grant(1, 0, 0)]);
    sim.check_in(0);
    sim.advance(1_950);
    assert_eq!(sim.checkout_within(2, 100), [drain_runner(0)], "max is reached");
    assert_eq!(sim.gone(0), [boot(1)]);
    assert_eq!(sim.up_for(1, 2_000), [grant(2, 1, 1)]);
}

#[test]
fn a_call_of_unknown_length_goes_to_a_fresh_runner_however_short_its_lifetime() {
    for life in [0, 1, 1_000] {
        let mut sim = Sim::new(limits(1, 1));
        assert_eq!(sim.checkout(1), [boot(0)]);
        assert_eq!(sim.up_for(0, life), [grant(1, 0, 0)]);
    }
}

#[test]
fn a_call_of_unknown_length_goes_to_no_runner_in_the_second_half_of_its_lifetime() {
    let mut sim = Sim::new(limits(4, 2));
    sim.checkout_within(0, 10);
    assert_eq!(sim.up_for(0, 10_000), [grant(0, 0, 0)]);
    sim.advance(5_000);
    assert_eq!(sim.checkout(1), [grant(1, 0, 1)], "half of its lifetime is left");
    sim.check_in(1);
    sim.advance(1);
    assert_eq!(sim.checkout(2), [boot(1)]);
    assert_eq!(sim.check_in(0), [drain_runner(0)], "runner 0 drains after its last call");
    assert_eq!(sim.up_for(1, 10_000), [grant(2, 1, 2)]);
}

#[test]
fn an_empty_old_runner_makes_room_for_a_fresh_one() {
    let mut sim = Sim::with_up(limits(1, 1), 0);
    sim.checkout_within(1, 10);
    assert_eq!(sim.up_for(0, 10_000), [grant(1, 0, 0)]);
    sim.check_in(0);
    sim.advance(5_001);
    assert_eq!(sim.checkout(2), [drain_runner(0)], "max is reached");
    assert_eq!(sim.gone(0), [boot(1)]);
    assert_eq!(sim.up_for(1, 10_000), [grant(2, 1, 1)]);
}

#[test]
fn a_fresh_runner_is_preferred_to_the_one_that_placement_would_choose() {
    for (placement, returned) in [(Placement::Spread, 3), (Placement::Pack, 1)] {
        let mut sim = Sim::with_up(PoolLimits { placement, ..limits(2, 3) }, 0);
        (0..4).for_each(|waiter| drop(sim.checkout_within(waiter, 9_000)));
        assert_eq!(sim.up_for(0, 10_000).len(), 3);
        sim.advance(5_001);
        assert_eq!(sim.up_for(1, 10_000), [grant(3, 1, 3)]);
        (0..returned).for_each(|lease| drop(sim.check_in(lease)));
        assert_eq!(sim.checkout(9), [grant(9, 1, 4)], "{placement:?}");
        assert_eq!(sim.pool.snapshot().up, 2, "the other runner stays up");
    }
}

#[test]
fn without_room_for_fresh_runners_the_one_that_expires_last_takes_the_call() {
    let mut sim = Sim::with_up(limits(3, 2), 0);
    (0..4).for_each(|waiter| drop(sim.checkout_within(waiter, 9_000)));
    assert_eq!(sim.up_for(0, 10_000).len(), 2);
    sim.advance(100);
    assert_eq!(sim.up_for(1, 10_000).len(), 2);
    sim.check_in(0);
    sim.check_in(2);
    sim.advance(6_000);
    // Both runners are busy and only one more could boot, so a fresh runner would cost free slots.
    assert_eq!(sim.checkout(9), [grant(9, 1, 4)]);
}

#[test]
fn while_boots_fail_no_runner_is_retired_for_a_fresh_one() {
    let mut sim = Sim::with_up(limits(2, 2), 0);
    sim.checkout_within(0, 10);
    sim.up_for(0, 10_000);
    sim.advance(6_000);
    sim.checkout_within(1, 1_000);
    assert_eq!(sim.checkout_within(2, 1_000), [boot(1)]);
    sim.fail(1, "no capacity");
    sim.check_in(0);
    sim.check_in(1);
    assert_eq!(sim.checkout(9), [grant(9, 0, 3)]);
}

#[test]
fn calls_behind_one_that_must_wait_keep_their_order() {
    let mut sim = Sim::with_up(limits(2, 1), 0);
    assert_eq!(sim.checkout_within(1, 10), [boot(0)]);
    assert_eq!(sim.up_for(0, 100), [grant(1, 0, 0)]);
    assert_eq!(sim.checkout_within(2, 5_000), [boot(1)]);
    assert_eq!(sim.checkout_within(3, 10), []);
    // The first waiter can't use the slot that becomes free, so the runner drains.
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    assert_eq!(sim.up_for(1, 10_000), [grant(2, 1, 1)]);
}

#[test]
fn runners_that_never_live_long_enough_are_booted_with_backoff() {
    let mut sim = Sim::new(limits(4, 1));
    assert_eq!(sim.checkout_within(1, 60_000), [boot(0)]);
    assert_eq!(sim.up_for(0, 1_000), [drain_runner(0)]);
    assert!(matches!(sim.growth(), Growth::BackingOff { .. }), "{:?}", sim.growth());
    assert_eq!(sim.sleep(), [boot(1)]);
}

#[test]
fn the_shutdown_of_an_expiring_runner_is_noted_with_its_reason() {
    let mut sim = Sim::with_up(limits(1, 1), 0);
    sim.checkout_within(1, 10);
    sim.up_for(0, 100);
    sim.check_in(0);
    sim.notes.clear();
    sim.checkout_within(2, 1_000);
    let (runner, reason) = (RunnerId(0), ShrinkReason::Expiring);
    assert!(sim.notes.contains(&Note::Draining { runner, reason }), "{:?}", sim.notes);
    sim.gone(0);
    assert!(sim.notes.contains(&Note::Shrink { runner, reason }), "{:?}", sim.notes);
}
