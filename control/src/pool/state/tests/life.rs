//! Runners idle, drain, are resized away, get lost; pools end.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn an_idle_runner_above_min_is_drained_and_never_leased_again() {
    let mut sim = Sim::with_up(limits(2, 1), 1);
    assert_eq!(sim.idle(0, 30_000), [drain_runner(0)]);
    assert_eq!(sim.checkout(1), [boot(1)], "the idle one is no longer there to be leased");
}

#[test]
fn a_runner_with_a_lease_does_not_idle_out() {
    let mut sim = Sim::with_up(limits(2, 2), 2);
    sim.checkout(1);
    assert_eq!(sim.idle(0, 30_000), [stay_up(0, None)], "though it is not full, nor needed");
}

#[test]
fn a_min_runner_stays_up_for_good_unless_allowed_to_go() {
    let mut sim = Sim::with_up(Limits { min: 1, ..limits(2, 1) }, 2);
    assert_eq!(sim.idle(1, 30_000), [drain_runner(1)]);
    assert_eq!(sim.idle(0, 3_000_000), [stay_up(0, None)]);
}

#[test]
fn a_min_runner_allowed_to_go_is_not_replaced_until_the_next_checkout() {
    let min_idle_shutdown_after = Some(ms(60_000));
    let mut sim = Sim::with_up(Limits { min: 2, min_idle_shutdown_after, ..limits(4, 1) }, 2);
    assert_eq!(sim.idle(0, 20_000), [stay_up(0, Some(40_000))]);
    assert_eq!(sim.idle(0, 60_000), [drain_runner(0)]);
    assert_eq!(sim.idle(1, 60_000), [drain_runner(1)]);
    sim.gone(0);
    sim.gone(1);
    assert_eq!(sim.advance(1_000_000), []);
    assert!(sim.pool.is_ready(), "it has what it is to have");
    assert_eq!(sim.checkout(1), boots(2..4), "one for the caller, both for min");
}

#[test]
fn a_runner_that_announces_its_end_keeps_its_leases_and_gets_no_more() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    sim.checkout(1);
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.checkout(2), [boot(1)]);
    assert_eq!(sim.announce(0), [], "once is enough");
    assert_eq!(sim.check_in(0), [drain_runner(0)], "now nothing is on its way to it");
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.gone(0), []);
    let reason = ShrinkReason::Announced;
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner: RunnerId(0), reason }));
}

#[test]
fn a_runner_that_announces_its_end_while_it_is_empty_is_let_go_at_once() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    assert_eq!(sim.announce(0), [drain_runner(0)]);
}

#[test]
fn a_runner_that_announces_its_end_while_the_pool_retires_it_goes_for_the_pools_reason() {
    let mut sim = Sim::with_up(Limits { single_use: true, ..limits(2, 1) }, 1);
    sim.checkout(1);
    assert_eq!(sim.announce(0), []);
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    sim.gone(0);
    let reason = ShrinkReason::SingleUse;
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner: RunnerId(0), reason }));
}

#[test]
fn a_runner_that_goes_with_leases_is_noted_as_lost() {
    let mut sim = Sim::with_up(limits(1, 2), 1);
    sim.checkout(1);
    sim.checkout(2);
    sim.announce(0);
    sim.gone(0);
    let leases = vec![LeaseId(0), LeaseId(1)];
    assert_eq!(sim.notes.last(), Some(&Note::RunnerLost { runner: RunnerId(0), leases }));
    assert_eq!(sim.check_in(0), [], "it is void");
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
fn what_is_stopped_counts_against_max_until_it_is_gone() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.stops_at_once = false;
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.lose(0), [stop(0)], "its instance may run on for a while");
    assert_eq!(sim.growth(), Growth::MaxReached);
    assert_eq!(sim.pool.snapshot().runners[0].state, RunnerState::Stopping);
    assert_eq!(sim.lose(0), [], "once is enough");
    assert_eq!(sim.gone(0), [boot(1)]);
    let told = sim.notes.iter().filter(|note| matches!(note, Note::RunnerLost { .. })).count();
    assert_eq!(told, 1);
    assert_eq!(sim.fail(1, "no image"), [stop(1), refuse(2, Refusal::BootFailed("no image"))]);
    sim.advance(10_000);
    assert_eq!(sim.checkout(3), [], "nor is there room for another boot");
    assert_eq!(sim.gone(1), [boot(2)]);
}

#[test]
fn a_pool_has_drained_when_what_it_stopped_is_gone() {
    let mut sim = Sim::new(limits(1, 1));
    sim.stops_at_once = false;
    sim.checkout(1);
    assert_eq!(sim.drain(), [refuse(1, Refusal::Draining), stop(0)]);
    assert!(!sim.pool.is_drained());
    assert_eq!(sim.up(0), [stop(0)], "too late");
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
    assert_eq!(sim.up(0), [], "it is up already");
    assert_eq!(sim.fail(0, "late"), [], "a boot that came up did not fail");
    assert_eq!(sim.pool.snapshot(), before);
    assert_eq!(sim.notes, []);
}

#[test]
fn a_runner_that_comes_up_after_it_was_given_up_is_stopped_again() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.fail(0, "boot timeout");
    assert_eq!(sim.up(0), [stop(0)]);
    assert_eq!(sim.pool.snapshot().runners, []);
}

#[test]
fn resize_up_boots_for_min_and_for_those_who_wait() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    for waiter in 0..3 {
        sim.checkout(waiter);
    }
    let change = LimitsChange { max: Some(5), min: Some(4), ..LimitsChange::default() };
    assert_eq!(sim.resize(change), boots(1..4));
}

#[test]
fn ready_is_noted_again_when_a_raised_min_is_up() {
    let mut sim = Sim::with_up(Limits { min: 1, ..limits(2, 1) }, 1);
    sim.resize(LimitsChange { min: Some(2), ..LimitsChange::default() });
    assert!(!sim.pool.is_ready());
    sim.up(1);
    assert_eq!(sim.notes.last(), Some(&Note::Ready));
}

#[test]
fn resize_down_stops_boots_then_drains_the_idle_then_the_emptiest() {
    let mut sim = Sim::with_up(limits(5, 3), 4);
    for waiter in 0..9 {
        sim.checkout(waiter);
    }
    for lease in [3, 7] {
        sim.check_in(lease);
    }
    // Leases now: runner 0 has 3, 1 has 2, 2 has 2, 3 has none; runner 4 boots.
    sim.resize(LimitsChange { min: Some(5), ..LimitsChange::default() });
    let to = |max| LimitsChange { min: Some(0), max: Some(max), ..LimitsChange::default() };
    assert_eq!(sim.resize(to(4)), [stop(4)]);
    assert_eq!(sim.resize(to(3)), [drain_runner(3)]);
    assert_eq!(sim.resize(to(2)), [], "the emptiest is busy");
    assert_eq!(sim.checkout(20), [grant(20, 1, 9)], "and takes no more");
    assert_eq!(sim.check_in(2), []);
    assert_eq!(sim.check_in(6), [drain_runner(2)], "it goes with its last lease");
}

#[test]
fn a_runner_that_retires_for_want_of_room_serves_on_when_there_is_room_again() {
    let mut sim = Sim::with_up(limits(2, 1), 2);
    sim.checkout(1);
    sim.checkout(2);
    let to = |max| LimitsChange { max: Some(max), ..LimitsChange::default() };
    assert_eq!(sim.resize(to(1)), []);
    assert_eq!(sim.resize(to(2)), []);
    assert_eq!(sim.check_in(0), []);
    assert_eq!(sim.check_in(1), []);
    assert_eq!(sim.pool.snapshot().free, 2);
}

#[test]
fn a_draining_pool_refuses_all_stops_boots_and_lets_leases_finish() {
    let mut sim = Sim::with_up(limits(3, 1), 2);
    sim.checkout(1);
    sim.checkout(2);
    sim.checkout(3);
    sim.check_in(0);
    sim.check_in(1);
    // Runner 0 serves waiter 3, runner 1 is idle, runner 2 boots.
    let drained = sim.drain();
    assert_eq!(drained, [stop(2), drain_runner(1)]);
    assert_eq!(sim.checkout(4), [refuse(4, Refusal::Draining)]);
    assert_eq!(sim.check_in(2), [drain_runner(0)]);
    sim.gone(1);
    assert!(!sim.pool.is_drained());
    assert_eq!(sim.gone(0), []);
    assert!(sim.pool.is_drained());
    assert_eq!(sim.notes.iter().filter(|note| **note == Note::Drained).count(), 1);
}

#[test]
fn a_draining_pool_refuses_those_who_wait() {
    let mut sim = Sim::new(limits(1, 1));
    sim.checkout_within(1, 50);
    sim.checkout(2);
    let refused = [refuse(1, Refusal::Draining), refuse(2, Refusal::Draining), stop(0)];
    assert_eq!(sim.drain(), refused);
    assert_eq!(sim.pool.poll_timeout(), None);
    assert_eq!(sim.up(0), [stop(0)], "a boot that came up all the same");
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
fn a_drained_pool_keeps_no_min_and_does_not_grow_by_resize() {
    let mut sim = Sim::with_up(Limits { min: 1, ..limits(2, 1) }, 1);
    assert_eq!(sim.drain(), [drain_runner(0)]);
    assert_eq!(sim.lose(0), [stop(0)]);
    let change = LimitsChange { min: Some(2), ..LimitsChange::default() };
    assert_eq!(sim.resize(change), []);
    assert_eq!(sim.pool.poll_timeout(), None);
}

#[test]
fn each_growth_is_noted_with_its_end_and_each_runner_with_its_own() {
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
