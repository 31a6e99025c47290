//! Which call gets a slot, in which order, and why a call gets none.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn a_checkout_with_a_free_slot_is_granted_in_the_same_call() {
    let mut sim = Sim::with_up(limits(1, 2), 1);
    assert_eq!(sim.checkout(1), [grant(1, 0, 0)]);
    assert_eq!(sim.checkout(2), [grant(2, 0, 1)]);
    assert_eq!(sim.checkout(3), []);
    assert_eq!(sim.pool.snapshot().queued, 1);
}

#[test]
fn a_fresh_runner_serves_up_to_max_concurrency_waiters_in_order() {
    let mut sim = Sim::new(limits(1, 2));
    assert_eq!(sim.checkout(10), [boot(0)]);
    for waiter in [11, 12, 13] {
        assert_eq!(sim.checkout(waiter), []);
    }
    assert_eq!(sim.up(0), [grant(10, 0, 0), grant(11, 0, 1)]);
    assert_eq!(sim.check_in(1), [grant(12, 0, 2)]);
    assert_eq!(sim.check_in(0), [grant(13, 0, 3)]);
}

#[test]
fn spread_leases_the_least_loaded_runner() {
    let mut sim = Sim::with_up(limits(2, 3), 2);
    let granted: Vec<_> = (0..4).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(granted, [grant(0, 0, 0), grant(1, 1, 1), grant(2, 0, 2), grant(3, 1, 3)]);
    assert_eq!(sim.check_in(3), []);
    assert_eq!(sim.checkout(4), [grant(4, 1, 4)]);
}

#[test]
fn pack_leases_the_most_loaded_runner_with_a_free_slot() {
    let packed = PoolLimits { placement: Placement::Pack, ..limits(2, 2) };
    let mut sim = Sim::with_up(packed, 2);
    let granted: Vec<_> = (0..4).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(granted, [grant(0, 1, 0), grant(1, 1, 1), grant(2, 0, 2), grant(3, 0, 3)]);
}

#[test]
fn a_try_checkout_leases_a_free_slot() {
    let mut sim = Sim::with_up(limits(1, 2), 1);
    assert_eq!(sim.try_checkout(), (Some((0, 0)), vec![]));
    assert_eq!(sim.try_checkout(), (Some((0, 1)), vec![]));
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.try_checkout(), (Some((0, 2)), vec![]));
}

#[test]
fn a_try_checkout_without_a_free_slot_neither_waits_nor_boots() {
    let mut sim = Sim::new(limits(1, 1));
    assert_eq!(sim.try_checkout(), (None, vec![]));
    let snapshot = sim.pool.snapshot();
    assert_eq!((snapshot.queued, snapshot.booting), (0, 0));
}

#[test]
fn a_try_checkout_refills_min_free_slots() {
    let mut sim = Sim::with_up(PoolLimits { min_free_slots: 1, ..limits(2, 1) }, 1);
    assert_eq!(sim.try_checkout(), (Some((0, 0)), vec![boot(1)]));
}

#[test]
fn a_try_checkout_retires_a_runner_that_would_cut_the_call_off() {
    let mut sim = Sim::with_up(limits(1, 1), 0);
    sim.checkout_within(1, 10);
    sim.up_for(0, 1_000);
    sim.check_in(0);
    assert_eq!(sim.try_checkout_within(1_001), (None, vec![drain_runner(0)]));
}

#[test]
fn a_try_checkout_gets_nothing_past_its_deadline_or_from_a_draining_pool() {
    let mut sim = Sim::with_up(limits(1, 2), 1);
    assert_eq!(sim.try_checkout_within(0), (None, vec![]));
    sim.checkout(1);
    sim.drain();
    assert_eq!(sim.try_checkout(), (None, vec![]));
}

#[test]
fn a_try_checkout_rejects_waiters_whose_deadline_has_passed() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(1);
    sim.checkout_within(2, 10);
    sim.now += ms(10);
    let rejected = reject(2, timeout(WaitPhase::Queue, None));
    assert_eq!(sim.try_checkout(), (None, vec![rejected]));
}

#[test]
fn a_deadline_in_the_past_is_rejected_even_if_a_slot_is_free() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    let rejected = [reject(1, timeout(WaitPhase::Queue, None))];
    assert_eq!(sim.checkout_within(1, 0), rejected);
    assert_eq!(sim.pool.snapshot().queued, 0);
}

#[test]
fn a_waiter_behind_full_runners_times_out_in_the_queue() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(1);
    assert_eq!(sim.checkout_within(2, 50), []);
    assert_eq!(sim.pool.poll_timeout(), Some(sim.now + ms(50)));
    assert_eq!(sim.advance(49), []);
    assert_eq!(sim.advance(1), [reject(2, timeout(WaitPhase::Queue, None))]);
    assert_eq!(sim.pool.poll_timeout(), None);
}

#[test]
fn a_waiter_without_a_runner_times_out_in_the_boot() {
    let mut sim = Sim::new(limits(1, 1));
    sim.checkout_within(1, 50);
    assert_eq!(sim.sleep(), [reject(1, timeout(WaitPhase::Boot, None))]);
}

#[test]
fn a_waiter_that_a_boot_under_way_would_serve_times_out_in_the_boot() {
    let mut sim = Sim::with_up(limits(2, 1), 1);
    sim.checkout(1);
    assert_eq!(sim.checkout_within(2, 50), [boot(1)]);
    assert_eq!(sim.sleep(), [reject(2, timeout(WaitPhase::Boot, None))]);
}

#[test]
fn a_timeout_names_the_boot_that_failed_in_the_meantime() {
    let mut sim = Sim::with_up(limits(2, 1), 1);
    sim.checkout(1);
    sim.checkout_within(2, 20);
    assert_eq!(sim.fail(1, "no capacity"), [stop(1)]);
    assert_eq!(sim.advance(20), [reject(2, timeout(WaitPhase::Queue, Some("no capacity")))]);
}

#[test]
fn a_timeout_does_not_name_a_failure_before_a_boot_that_came_up() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.checkout(2);
    sim.checkout_within(3, 20);
    sim.fail(0, "no capacity");
    sim.up(1);
    assert_eq!(sim.advance(20), [reject(3, timeout(WaitPhase::Queue, None))]);
}

#[test]
fn an_expired_waiter_is_not_served_even_if_its_timer_has_not_fired() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(1);
    sim.checkout_within(2, 10);
    sim.checkout(3);
    sim.now += ms(10);
    let answers = [reject(2, timeout(WaitPhase::Queue, None)), grant(3, 0, 1)];
    assert_eq!(sim.check_in(0), answers);
}

#[test]
fn a_cancelled_waiter_leaves_nothing_behind() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(0);
    for waiter in 1..=100_000 {
        sim.checkout_within(waiter, 1_000);
        sim.cancel(waiter);
    }
    assert_eq!(sim.checkout(200_000), []);
    assert_eq!(sim.pool.snapshot().queued, 1);
    assert_eq!(sim.pool.poll_timeout(), None);
    assert_eq!(sim.check_in(0), [grant(200_000, 0, 1)]);
}

#[test]
fn cancelling_an_answered_or_unknown_waiter_changes_nothing() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(1);
    assert_eq!(sim.cancel(1), []);
    assert_eq!(sim.cancel(99), []);
    assert_eq!(sim.checkout(2), [], "the first call still holds the slot");
}

#[test]
fn a_full_queue_rejects_calls_and_says_its_limit() {
    let mut sim = Sim::new(PoolLimits { max_queue: 2, ..limits(1, 1) });
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.checkout(3), [reject(3, CheckoutError::QueueFull { limit: 2 })]);
    sim.cancel(1);
    assert_eq!(sim.checkout(4), [], "there is room in the queue again");
}

#[test]
fn a_waiter_that_asks_twice_is_answered_once() {
    let mut sim = Sim::new(limits(1, 2));
    sim.checkout(1);
    assert_eq!(sim.checkout(1), []);
    assert_eq!(sim.up(0), [grant(1, 0, 0)]);
}

#[test]
fn single_use_leases_a_runner_once_and_drains_it_when_the_lease_is_returned() {
    let mut sim = Sim::with_up(PoolLimits { single_use: true, ..limits(3, 100) }, 1);
    assert_eq!(sim.checkout(1), [grant(1, 0, 0)]);
    assert_eq!(sim.checkout(2), [boot(1)], "the first runner has one slot, which is used up");
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    assert_eq!(sim.up(1), [grant(2, 1, 1)]);
    assert_eq!(sim.gone(0), []);
}

#[test]
fn a_raised_max_concurrency_serves_waiters_at_once() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    for waiter in 0..4 {
        sim.checkout(waiter);
    }
    let change = LimitsChange::new().max_concurrency(3);
    assert_eq!(sim.resize(change), [grant(1, 0, 1), grant(2, 0, 2)]);
}

#[test]
fn a_lowered_max_concurrency_revokes_no_lease_and_grants_none_above_it() {
    let mut sim = Sim::with_up(limits(1, 3), 1);
    for waiter in 0..3 {
        sim.checkout(waiter);
    }
    sim.resize(LimitsChange::new().max_concurrency(1));
    sim.checkout(3);
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.check_in(1), []);
    assert_eq!(sim.check_in(2), [grant(3, 0, 3)]);
}

#[test]
fn a_snapshot_counts_held_and_returned_leases_per_runner() {
    let mut sim = Sim::with_up(limits(2, 2), 2);
    sim.checkout(1);
    sim.checkout(2);
    sim.checkout(3);
    sim.check_in(0);
    let snapshot = sim.pool.snapshot();
    let seen: Vec<_> = snapshot.runners.iter().map(|r| (r.id.0, r.leases, r.returned)).collect();
    assert_eq!(seen, [(0, 1, 1), (1, 1, 0)]);
    assert_eq!((snapshot.up, snapshot.free), (2, 2));
}
