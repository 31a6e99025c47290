//! Calls that another pool serves until this one has room.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn calls_that_are_served_elsewhere_are_owed_boots() {
    let mut sim = Sim::new(limits(4, 2));
    assert_eq!(sim.elsewhere(3), boots(0..2), "ceil(3 / 2)");
    assert_eq!(sim.up(0), [], "they have their slots");
    assert_eq!(sim.up(1), []);
    assert_eq!(sim.elsewhere(4), []);
    assert_eq!(sim.elsewhere(5), [boot(2)]);
}

#[test]
fn an_idle_runner_stays_while_another_would_be_booted_in_its_place() {
    let mut sim = Sim::new(limits(4, 1));
    assert_eq!(sim.elsewhere(1), [boot(0)]);
    sim.up(0);
    assert_eq!(sim.idle(0, 60_000), [stay_up(0, None)]);
    sim.elsewhere(0);
    assert_eq!(sim.idle(0, 60_000), [drain_runner(0)]);
}

#[test]
fn room_is_a_slot_or_a_boot_or_none() {
    let mut sim = Sim::new(limits(1, 2));
    assert_eq!(sim.room(), Room::Boot, "it would boot");
    sim.checkout(1);
    assert_eq!(sim.room(), Room::Boot, "one slot of the boot is left");
    sim.checkout(2);
    assert_eq!(sim.room(), Room::Full, "both wait for it, and max is reached");
    sim.up(0);
    assert_eq!(sim.room(), Room::Full);
    sim.check_in(0);
    assert_eq!(sim.room(), Room::Slot);
    sim.drain();
    assert_eq!(sim.room(), Room::Full);
}

#[test]
fn a_pool_that_backs_off_has_no_room() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.fail(0, "image is gone");
    assert_eq!(sim.room(), Room::Full);
    sim.advance(2_000);
    assert_eq!(sim.room(), Room::Boot);
}
