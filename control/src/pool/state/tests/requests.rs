//! How runners end that somebody wants to end.

use super::sim::*;
use crate::pool::state::*;

const REQUESTED: ShrinkReason = ShrinkReason::Requested;

fn runner_lost(runner: u64, leases: &[u64]) -> Note<TestFailure> {
    let leases = leases.iter().map(|lease| LeaseId(*lease)).collect();
    Note::RunnerLost { runner: RunnerId(runner), leases }
}

#[test]
fn a_runner_that_is_to_drain_keeps_its_leases_and_gets_no_more() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    sim.checkout(1);
    assert_eq!(sim.request_drain(0), []);
    assert_eq!(sim.checkout(2), [boot(1)], "although a slot of the runner is free");
    assert_eq!(sim.request_drain(0), [], "a second request changes nothing");
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    assert_eq!(sim.gone(0), []);
    let runner = RunnerId(0);
    let of_runner = |note: &&Note<_>| matches!(note, Note::Draining { runner: id, .. } | Note::Shrink { runner: id, .. } if *id == runner);
    let notes: Vec<_> = sim.notes.iter().filter(of_runner).cloned().collect();
    let expected =
        [Note::Draining { runner, reason: REQUESTED }, Note::Shrink { runner, reason: REQUESTED }];
    assert_eq!(notes, expected);
}

#[test]
fn a_runner_of_min_that_is_to_drain_is_replaced() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(2, 1) }, 1);
    assert_eq!(sim.request_drain(0), [drain_runner(0), boot(1)]);
}

#[test]
fn a_later_resize_does_not_bring_a_runner_back_that_is_to_drain() {
    let mut sim = Sim::with_up(limits(2, 1), 2);
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.resize(LimitsChange::new().max(1)), []);
    assert_eq!(sim.request_drain(1), [], "the resize has retired it");
    assert_eq!(sim.resize(LimitsChange::new().max(2)), []);
    assert_eq!(sim.check_in(1), [drain_runner(1)]);
}

#[test]
fn a_boot_that_is_no_longer_wanted_is_stopped() {
    for request in [Sim::request_drain, Sim::request_stop] {
        let mut sim = Sim::new(limits(1, 1));
        sim.stops_at_once = false;
        assert_eq!(sim.checkout(1), [boot(0)]);
        assert_eq!(request(&mut sim, 0), [stop(0)]);
        let outcome = GrowOutcome::Stopped;
        assert_eq!(sim.notes.last(), Some(&Note::GrowEnd { runner: RunnerId(0), outcome }));
        assert_eq!(sim.gone(0), [boot(1)], "the call still waits");
    }
}

#[test]
fn a_runner_that_is_to_stop_is_stopped_with_its_calls() {
    let mut sim = Sim::with_up(limits(2, 2), 1);
    sim.checkout(1);
    sim.checkout(2);
    assert_eq!(sim.request_stop(0), [stop(0)]);
    assert_eq!(sim.notes.last(), Some(&runner_lost(0, &[0, 1])));
    assert_eq!(sim.check_in(0), [], "the lease is void");
    assert_eq!(sim.checkout(3), [boot(1)]);
}

#[test]
fn a_runner_without_calls_that_is_to_stop_is_not_lost() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    assert_eq!(sim.request_stop(0), [stop(0)]);
    let runner = RunnerId(0);
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner, reason: REQUESTED }));
    assert_eq!(sim.request_stop(0), [], "it is gone");
}

#[test]
fn a_runner_that_drains_can_be_stopped() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    assert_eq!(sim.idle(0, 30_000), [drain_runner(0)]);
    assert_eq!(sim.request_drain(0), []);
    assert_eq!(sim.request_stop(0), [stop(0)]);
    let (runner, reason) = (RunnerId(0), ShrinkReason::Idle);
    assert_eq!(sim.notes.last(), Some(&Note::Shrink { runner, reason }));
}

#[test]
fn runners_that_end_on_request_slow_down_no_boot() {
    for request in [Sim::request_drain, Sim::request_stop] {
        let mut sim = Sim::with_up(limits(1, 1), 1);
        request(&mut sim, 0);
        sim.gone(0);
        assert_eq!(sim.checkout(1), [boot(1)]);
    }
}
