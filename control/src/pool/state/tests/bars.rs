//! A pool whose boots would all be in vain: it starts none, and holds nobody up.

use super::sim::*;
use crate::pool::state::*;

const WHY: &str = "no copy would become a runner";

#[test]
fn a_barred_pool_boots_nothing_and_refuses_whoever_needs_a_boot() {
    let (mut sim, first) = Sim::barred(Limits { min: 1, min_free_slots: 1, ..limits(4, 1) }, WHY);
    assert_eq!(first, []);
    for waiter in 0..10 {
        assert_eq!(sim.checkout(waiter), [refuse(waiter, Refusal::BootFailed(WHY))]);
    }
    assert_eq!(sim.advance(1_000_000), [], "and tries nothing later");
    assert_eq!(sim.pool.poll_timeout(), None);
    assert!(sim.notes.is_empty(), "no boot has begun, failed or paused: {:?}", sim.notes);
}

#[test]
fn once_it_is_unbarred_it_boots_what_it_keeps_at_once() {
    let (mut sim, _) = Sim::barred(Limits { min: 2, ..limits(4, 1) }, WHY);
    assert!(!sim.pool.is_ready());
    assert_eq!(sim.event(Event::Unbar), boots(0..2));
    sim.up(0);
    sim.up(1);
    assert!(sim.pool.is_ready());
}

#[test]
fn once_it_is_unbarred_it_boots_for_those_who_come() {
    let (mut sim, _) = Sim::barred(limits(1, 1), WHY);
    assert_eq!(sim.checkout(0), [refuse(0, Refusal::BootFailed(WHY))]);
    assert_eq!(sim.event(Event::Unbar), []);
    assert_eq!(sim.checkout(1), [boot(0)]);
    assert_eq!(sim.up(0), [grant(1, 0, 0)]);
}

#[test]
fn a_barred_pool_explains_itself_has_no_room_and_drains() {
    let (mut sim, _) = Sim::barred(limits(4, 1), WHY);
    assert_eq!(sim.growth(), Growth::Barred { why: WHY });
    let said = sim.pool.explain(sim.now).to_string();
    assert!(said.ends_with(&format!("not growing: {WHY}")), "{said}");
    assert_eq!(sim.room(), Room::Full, "a call takes another way, if there is one");
    sim.drain();
    assert!(sim.pool.is_drained());
    assert_eq!(sim.growth(), Growth::Draining);
}
