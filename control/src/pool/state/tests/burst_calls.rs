//! Calls that the burst backend serves until this pool has slots for them.

use super::sim::*;
use crate::pool::state::*;

#[test]
fn the_pool_boots_for_calls_on_the_burst_backend() {
    let mut sim = Sim::new(limits(4, 2));
    assert_eq!(sim.set_burst_calls(3), boots(0..2), "ceil(3 / 2)");
    assert_eq!(sim.up(0), [], "they already have slots");
    assert_eq!(sim.up(1), []);
    assert_eq!(sim.set_burst_calls(4), []);
    assert_eq!(sim.set_burst_calls(5), [boot(2)]);
}

#[test]
fn an_idle_runner_stays_if_another_would_be_booted_in_its_place() {
    let mut sim = Sim::new(limits(4, 1));
    assert_eq!(sim.set_burst_calls(1), [boot(0)]);
    sim.up(0);
    assert_eq!(sim.idle(0, 60_000), [stay_up(0, None)]);
    sim.set_burst_calls(0);
    assert_eq!(sim.idle(0, 60_000), [drain_runner(0)]);
}

#[test]
fn availability_is_a_free_slot_or_a_boot_or_none() {
    let mut sim = Sim::new(limits(1, 2));
    assert_eq!(sim.availability(), SlotAvailability::AfterBoot, "it would boot a runner");
    sim.checkout(1);
    assert_eq!(sim.availability(), SlotAvailability::AfterBoot, "one slot of the boot is left");
    sim.checkout(2);
    assert_eq!(
        sim.availability(),
        SlotAvailability::Full,
        "both calls wait for the boot, and `max` is reached"
    );
    sim.up(0);
    assert_eq!(sim.availability(), SlotAvailability::Full);
    sim.check_in(0);
    assert_eq!(sim.availability(), SlotAvailability::Now);
    sim.drain();
    assert_eq!(sim.availability(), SlotAvailability::Full);
}

#[test]
fn a_pool_that_backs_off_is_full() {
    let mut sim = Sim::new(limits(2, 1));
    sim.checkout(1);
    sim.fail(0, "image is gone");
    assert_eq!(sim.availability(), SlotAvailability::Full);
    sim.advance(2_000);
    assert_eq!(sim.availability(), SlotAvailability::AfterBoot);
}
