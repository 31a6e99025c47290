//! Defects of FLAME's pool: one test each shows that this pool does not have it.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn flame_defect_01_a_timeout_is_not_counted_twice() {
    let quick = BootBackoff { first: ms(10), ..limits(1, 1).boot_backoff };
    let mut sim = Sim::new(PoolLimits { boot_backoff: quick, ..limits(1, 1) });
    let deadline = sim.now + ms(100);
    assert_eq!(sim.checkout_within(1, 100), [boot(0)]);
    sim.advance(60);
    assert_eq!(sim.lose(0), [stop(0)]);
    assert_eq!(sim.sleep(), [boot(1)], "a second boot starts, and the deadline has not moved");
    assert_eq!(sim.pool.poll_timeout(), Some(deadline));
    assert_eq!(sim.sleep(), [reject(1, timeout(WaitPhase::Boot, None))]);
    assert_eq!(sim.now, deadline);
}

#[test]
fn flame_defect_02_a_failed_boot_is_reported_and_not_retried_every_second() {
    let mut sim = Sim::new(limits(4, 1));
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.fail(0, "exit code 1"), [stop(0)], "another boot is under way");
    let rejected = [1, 2].map(|waiter| reject(waiter, CheckoutError::BootFailed("OOM")));
    let failed = sim.fail(1, "OOM");
    assert_eq!(failed[0], stop(1));
    assert_eq!(failed[1..], rejected);
    assert_eq!(sim.advance(3_600_000), [], "without demand there is no retry");
}

#[test]
fn flame_defect_03_min_boots_block_nothing_and_a_dead_min_runner_is_replaced() {
    let (mut sim, first) = Sim::start(PoolLimits { min: 2, ..limits(4, 1) });
    assert_eq!(first, boots(0..2), "the pool has started, and both boots are under way at once");
    assert_eq!(sim.fail(0, "no capacity"), [stop(0)], "one failure does not fail the pool");
    assert_eq!(sim.up(1), []);
    assert_eq!(sim.checkout(1), [grant(1, 1, 0)], "and blocks no call");
    assert_eq!(sim.sleep(), [boot(2)]);
    sim.up(2);
    assert!(sim.pool.is_ready());
    assert_eq!(sim.lose(1), [stop(1), boot(3)], "the dead runner is replaced");
}

#[test]
fn flame_defect_04_waiters_are_served_by_the_next_runner_when_one_dies() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(1);
    sim.checkout(2);
    sim.checkout(3);
    assert_eq!(sim.lose(0), [stop(0), boot(1)], "no waiter is rejected or forgotten");
    assert_eq!(sim.up(1), [grant(2, 1, 1)]);
    assert_eq!(sim.check_in(1), [grant(3, 1, 2)]);
}

#[test]
fn flame_defect_06_a_slot_is_free_only_when_its_lease_is_returned() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout_within(1, 10);
    sim.checkout(2);
    // The caller leaves and its deadline passes, but its work still runs.
    assert_eq!(sim.cancel(1), []);
    assert_eq!(sim.advance(1_000), []);
    assert_eq!(sim.pool.snapshot().runners[0].leases, 1);
    assert_eq!(sim.check_in(0), [grant(2, 0, 1)]);
}

#[test]
fn flame_defect_08_a_runner_that_is_idling_out_is_never_leased() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    // The lease comes first, so the runner stays.
    sim.checkout(1);
    assert_eq!(sim.idle(0, 30_000), [stay_up(0, None)]);
    sim.check_in(0);
    // The drain comes first, so the caller waits for another runner.
    assert_eq!(sim.idle(0, 30_000), [drain_runner(0)]);
    assert_eq!(sim.checkout(2), []);
    assert_eq!(sim.idle(0, 30_000), [], "the runner has been told to drain");
    assert_eq!(sim.gone(0), [boot(1)]);
    assert_eq!(sim.up(1), [grant(2, 1, 1)]);
}

#[test]
fn flame_defect_08_a_single_use_runner_is_never_leased_twice() {
    let mut sim = Sim::with_up(PoolLimits { single_use: true, ..limits(1, 1) }, 1);
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.check_in(0), [drain_runner(0)], "waiter 2 waits, and does not get this runner");
    assert_eq!(sim.checkout(3), []);
    assert_eq!(sim.gone(0), [boot(1)]);
    assert_eq!(sim.up(1), [grant(2, 1, 1)]);
}

#[test]
fn flame_defect_09_an_unknown_check_in_changes_nothing() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    assert_eq!(sim.check_in(99), []);
    sim.checkout(1);
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.check_in(0), [], "a second check-in of the same lease changes nothing");
    assert_eq!(sim.pool.snapshot().free, 1);
}

#[test]
fn flame_defect_10_a_delayed_boot_looks_at_the_present_demand() {
    let mut sim = Sim::with_up(limits(3, 1), 1);
    sim.checkout(1);
    sim.checkout(2);
    sim.fail(1, "no");
    let retry = sim.pool.poll_timeout().expect("a retry is due");
    sim.cancel(2);
    assert_eq!(sim.pool.poll_timeout(), None);
    sim.now = retry;
    assert_eq!(sim.advance(0), []);
}

#[test]
fn flame_defect_10_a_delayed_boot_looks_at_the_present_max() {
    let mut sim = Sim::with_up(limits(3, 1), 1);
    sim.checkout(1);
    sim.checkout(2);
    sim.fail(1, "no");
    sim.resize(LimitsChange::new().max(1));
    assert_eq!(sim.advance(60_000), []);
    assert_eq!(sim.growth(), Growth::MaxReached);
}

#[test]
fn flame_defect_11_when_a_fresh_runner_is_full_more_boot_for_the_remaining_waiters() {
    let mut sim = Sim::new(limits(3, 2));
    let booted: Vec<_> = (0..5).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(booted, boots(0..3), "ceil(5 / 2)");
    sim.fail(1, "no");
    sim.fail(2, "no");
    // The pause is over, and the timer has not fired yet.
    sim.now += ms(100);
    let served = [grant(0, 0, 0), grant(1, 0, 1), boot(3), boot(4)];
    assert_eq!(sim.up(0), served, "ceil(3 / 2) for the remaining waiters");
}
