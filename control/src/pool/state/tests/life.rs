//! How runners idle out, drain, are retired by a resize, and get lost; and how pools drain.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn an_idle_runner_above_min_is_drained_and_never_leased_again() {
    let mut sim = Sim::with_up(limits(2, 1), 1);
    assert_eq!(sim.idle(0, 30_000), [drain_runner(0)]);
    assert_eq!(sim.checkout(1), [boot(1)], "the idle runner can no longer be leased");
}

#[test]
fn a_runner_with_a_lease_does_not_idle_out() {
    let mut sim = Sim::with_up(limits(2, 2), 2);
    sim.checkout(1);
    assert_eq!(
        sim.idle(0, 30_000),
        [stay_up(0, None)],
        "although it has a free slot and is not needed"
    );
}

#[test]
fn a_min_runner_stays_up_unless_it_is_allowed_to_idle_out() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(2, 1) }, 2);
    assert_eq!(sim.idle(1, 30_000), [drain_runner(1)]);
    assert_eq!(sim.idle(0, 3_000_000), [stay_up(0, None)]);
}

#[test]
fn a_min_runner_that_idled_out_is_not_replaced_until_the_next_checkout() {
    let min_idle_shutdown_after = Some(ms(60_000));
    let mut sim = Sim::with_up(PoolLimits { min: 2, min_idle_shutdown_after, ..limits(4, 1) }, 2);
    assert_eq!(sim.idle(0, 20_000), [stay_up(0, Some(40_000))]);
    assert_eq!(sim.idle(0, 60_000), [drain_runner(0)]);
    assert_eq!(sim.idle(1, 60_000), [drain_runner(1)]);
    sim.gone(0);
    sim.gone(1);
    assert_eq!(sim.advance(1_000_000), []);
    assert!(sim.pool.is_ready(), "a pool without demand needs no more");
    assert_eq!(sim.checkout(1), boots(2..4), "both for `min`, of which one also serves the caller");
}

#[test]
fn a_runner_that_announces_its_shutdown_keeps_its_leases_and_gets_no_more() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    sim.checkout(1);
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.checkout(2), [boot(1)]);
    assert_eq!(sim.announce(0), [], "a second announcement changes nothing");
    assert_eq!(sim.check_in(0), [drain_runner(0)], "now no call is on its way to the runner");
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.gone(0), []);
    let reason = ShrinkReason::Announced;
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner: RunnerId(0), reason }));
}

#[test]
fn a_runner_without_leases_that_announces_its_shutdown_drains_at_once() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    assert_eq!(sim.announce(0), [drain_runner(0)]);
}

#[test]
fn a_runner_that_announces_its_shutdown_while_it_retires_keeps_the_pools_reason() {
    let mut sim = Sim::with_up(PoolLimits { single_use: true, ..limits(2, 1) }, 1);
    sim.checkout(1);
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    sim.gone(0);
    let reason = ShrinkReason::SingleUse;
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner: RunnerId(0), reason }));
}

#[test]
fn a_runner_that_exits_with_leases_is_noted_as_lost() {
    let mut sim = Sim::with_up(limits(1, 2), 1);
    sim.checkout(1);
    sim.checkout(2);
    sim.announce(0);
    sim.gone(0);
    let leases = vec![LeaseId(0), LeaseId(1)];
    assert_eq!(sim.notes.last(), Some(&Note::RunnerLost { runner: RunnerId(0), leases }));
    assert_eq!(sim.check_in(0), [], "the lease is void");
}

#[test]
fn a_lost_runner_is_stopped_and_its_leases_are_void() {
    let mut sim = Sim::with_up(limits(2, 1), 2);
    for waiter in 0..3 {
        sim.checkout(waiter);
    }
    assert_eq!(sim.lose(0), [stop(0), boot(2)]);
    let leases = vec![LeaseId(0)];
    assert!(sim.notes.contains(&Note::RunnerLost { runner: RunnerId(0), leases }));
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.pool.snapshot().free, 0, "a void lease frees nothing");
}

#[test]
fn a_stopped_runner_counts_against_max_until_it_is_gone() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.stops_at_once = false;
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.lose(0), [stop(0)], "its instance may run for a while longer");
    assert_eq!(sim.growth(), Growth::MaxReached);
    assert_eq!(sim.pool.snapshot().runners[0].state, RunnerState::Stopping);
    assert_eq!(sim.lose(0), [], "a second loss changes nothing");
    assert_eq!(sim.gone(0), [boot(1)]);
    let noted = sim.notes.iter().filter(|note| matches!(note, Note::RunnerLost { .. })).count();
    assert_eq!(noted, 1);
    assert_eq!(
        sim.fail(1, "no image"),
        [stop(1), reject(2, CheckoutError::BootFailed("no image"))]
    );
    sim.advance(10_000);
    assert_eq!(sim.checkout(3), [], "there is no room for another boot");
    assert_eq!(sim.gone(1), [boot(2)]);
}

#[test]
fn a_pool_has_drained_when_its_stopped_runners_are_gone() {
    let mut sim = Sim::new(limits(1, 1));
    sim.stops_at_once = false;
    sim.checkout(1);
    assert_eq!(sim.drain(), [reject(1, CheckoutError::Draining), stop(0)]);
    assert!(!sim.pool.is_drained());
    assert_eq!(sim.up(0), [stop(0)], "it came up too late");
    sim.gone(0);
    assert!(sim.pool.is_drained());
}

#[test]
fn unknown_late_and_duplicate_events_about_runners_change_nothing() {
    let mut sim = Sim::with_up(limits(2, 1), 1);
    let before = sim.pool.snapshot();
    for runner in [1, 99] {
        assert_eq!(sim.up(runner), []);
        assert_eq!(sim.fail(runner, "late"), []);
        assert_eq!(sim.lose(runner), []);
        assert_eq!(sim.announce(runner), []);
        assert_eq!(sim.idle(runner, 1), []);
        assert_eq!(sim.gone(runner), []);
    }
    assert_eq!(sim.up(0), [], "the runner is up already");
    assert_eq!(sim.fail(0, "late"), [], "a boot that came up did not fail");
    assert_eq!(sim.pool.snapshot(), before);
    assert_eq!(sim.notes, []);
}

#[test]
fn a_runner_that_comes_up_after_its_boot_failed_is_stopped_again() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.fail(0, "boot timeout");
    assert_eq!(sim.up(0), [stop(0)]);
    assert_eq!(sim.pool.snapshot().runners, []);
}

#[test]
fn a_raised_max_boots_for_min_and_for_the_waiters() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    for waiter in 0..3 {
        sim.checkout(waiter);
    }
    let change = LimitsChange::new().max(5).min(4);
    assert_eq!(sim.resize(change), boots(1..4));
}

#[test]
fn ready_is_noted_again_when_a_raised_min_is_up() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(2, 1) }, 1);
    sim.resize(LimitsChange::new().min(2));
    assert!(!sim.pool.is_ready());
    sim.up(1);
    assert_eq!(sim.notes.last(), Some(&Note::Ready));
}

#[test]
fn a_lowered_max_stops_boots_then_idle_runners_then_the_least_loaded() {
    let mut sim = Sim::with_up(limits(5, 3), 4);
    for waiter in 0..9 {
        sim.checkout(waiter);
    }
    for lease in [3, 7] {
        sim.check_in(lease);
    }
    // Leases now: runner 0 has 3, 1 has 2, 2 has 2, 3 has none; runner 4 boots.
    sim.resize(LimitsChange::new().min(5));
    let to = |max| LimitsChange::new().min(0).max(max);
    assert_eq!(sim.resize(to(4)), [stop(4)]);
    assert_eq!(sim.resize(to(3)), [drain_runner(3)]);
    assert_eq!(sim.resize(to(2)), [], "the least loaded runner is busy");
    assert_eq!(sim.checkout(20), [grant(20, 1, 9)], "the retiring runner takes no more");
    assert_eq!(sim.check_in(2), []);
    assert_eq!(sim.check_in(6), [drain_runner(2)], "it drains when its last lease is returned");
}

#[test]
fn a_runner_retiring_after_a_resize_stays_when_max_is_raised_again() {
    let mut sim = Sim::with_up(limits(2, 1), 2);
    sim.checkout(1);
    sim.checkout(2);
    let to = |max| LimitsChange::new().max(max);
    assert_eq!(sim.resize(to(1)), []);
    assert_eq!(sim.resize(to(2)), []);
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.check_in(1), []);
    assert_eq!(sim.pool.snapshot().free, 2);
}

#[test]
fn a_draining_pool_rejects_calls_stops_boots_and_lets_leases_finish() {
    let mut sim = Sim::with_up(limits(3, 1), 2);
    sim.checkout(1);
    sim.checkout(2);
    sim.checkout(3);
    sim.check_in(0);
    sim.check_in(1);
    // Runner 0 serves waiter 3, runner 1 is idle, runner 2 boots.
    let drained = sim.drain();
    assert_eq!(drained, [stop(2), drain_runner(1)]);
    assert_eq!(sim.checkout(4), [reject(4, CheckoutError::Draining)]);
    assert_eq!(sim.check_in(2), [drain_runner(0)]);
    sim.gone(1);
    assert!(!sim.pool.is_drained());
    assert_eq!(sim.gone(0), []);
    assert!(sim.pool.is_drained());
    assert_eq!(sim.notes.iter().filter(|note| **note == Note::Drained).count(), 1);
}

#[test]
fn a_draining_pool_rejects_its_waiters() {
    let mut sim = Sim::new(limits(1, 1));
    sim.checkout_within(1, 50);
    sim.checkout(2);
    let rejected =
        [reject(1, CheckoutError::Draining), reject(2, CheckoutError::Draining), stop(0)];
    assert_eq!(sim.drain(), rejected);
    assert_eq!(sim.pool.poll_timeout(), None);
    assert_eq!(sim.up(0), [stop(0)], "the boot came up all the same");
}

#[test]
fn an_empty_pool_drains_at_once_and_only_once() {
    let mut sim = Sim::new(limits(1, 1));
    sim.drain();
    sim.drain();
    assert!(sim.pool.is_drained());
    assert!(!sim.pool.is_ready());
    assert_eq!(sim.notes, [Note::Ready, Note::Drained]);
}

#[test]
fn a_draining_pool_keeps_no_min_and_does_not_grow_by_a_resize() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(2, 1) }, 1);
    assert_eq!(sim.drain(), [drain_runner(0)]);
    assert_eq!(sim.lose(0), [stop(0)]);
    let change = LimitsChange::new().min(2);
    assert_eq!(sim.resize(change), []);
    assert_eq!(sim.pool.poll_timeout(), None);
}

#[test]
fn each_boot_and_each_shutdown_is_noted() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.checkout(2);
    sim.up(0);
    sim.fail(1, "no");
    sim.check_in(0);
    sim.idle(0, 1);
    sim.check_in(1);
    sim.idle(0, 1);
    sim.gone(0);
    let lives: Vec<_> = sim
        .notes
        .into_iter()
        .filter(|note| !matches!(note, Note::BackingOff { .. } | Note::Queued { .. } | Note::Ready))
        .collect();
    let (r0, r1, reason) = (RunnerId(0), RunnerId(1), GrowReason::Demand);
    let idle = ShrinkReason::Idle;
    assert_eq!(
        lives,
        [
            Note::GrowStart { runner: r0, reason },
            Note::GrowStart { runner: r1, reason },
            Note::GrowEnd { runner: r0, outcome: GrowOutcome::Up },
            Note::GrowEnd { runner: r1, outcome: GrowOutcome::BootFailed("no") },
            Note::Draining { runner: r0, reason: idle },
            Note::Shrink { runner: r0, reason: idle },
        ]
    );
}
