//! When and how many runners the pool boots, how it paces failures, and how it explains itself.

use super::sim::*;
use crate::pool::state::*;

/// Fails every boot until the breaker opens. Returns the number of the next runner.
fn break_boots(sim: &mut Sim) -> u64 {
    for runner in 0..3 {
        assert_eq!(sim.checkout(runner), if runner == 0 { vec![boot(0)] } else { vec![] });
        if runner > 0 {
            assert_eq!(sim.sleep(), [boot(runner)]);
        }
        let rejected = reject(runner, CheckoutError::BootFailed("image is missing"));
        assert_eq!(sim.fail(runner, "image is missing"), [stop(runner), rejected]);
    }
    assert!(matches!(sim.notes.last(), Some(Note::BreakerOpened { failures: 3, .. })));
    3
}

#[test]
fn a_burst_of_calls_boots_all_runners_it_needs_at_once_and_no_more() {
    let mut sim = Sim::new(limits(10, 3));
    let booted: Vec<_> = (0..10).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(booted, boots(0..4), "ceil(10 / 3)");
    assert_eq!(sim.growth(), Growth::BootsUnderWay);
}

#[test]
fn boots_stop_at_max() {
    let mut sim = Sim::new(limits(2, 1));
    let booted: Vec<_> = (0..10).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(booted, boots(0..2));
    assert_eq!(sim.growth(), Growth::MaxReached);
}

#[test]
fn a_draining_runner_counts_against_max_until_it_is_gone() {
    let mut sim = Sim::with_up(limits(1, 1), 1);
    sim.checkout(0);
    assert_eq!(sim.announce(0), []);
    sim.check_in(0);
    assert_eq!(sim.checkout(1), []);
    assert_eq!(sim.growth(), Growth::MaxReached);
    assert_eq!(sim.gone(0), [boot(1)]);
}

#[test]
fn a_boot_whose_caller_has_left_comes_up_and_is_kept() {
    let mut sim = Sim::new(limits(1, 1));
    sim.checkout(1);
    assert_eq!(sim.cancel(1), []);
    assert_eq!(sim.up(0), []);
    assert_eq!(sim.checkout(2), [grant(2, 0, 0)]);
}

#[test]
fn min_free_slots_are_kept_free_from_the_start_and_ahead_of_demand() {
    let (mut sim, first) = Sim::start(PoolLimits { min_free_slots: 3, ..limits(3, 2) });
    assert_eq!(first, boots(0..2), "ceil(3 / 2)");
    assert!(sim.notes.iter().all(|note| matches!(
        note,
        Note::GrowStart { reason: GrowReason::FreeSlots, .. } | Note::Ready
    )));
    sim.up(0);
    sim.up(1);
    assert_eq!(sim.checkout(1), [grant(1, 0, 0)], "3 of 4 slots are still free");
    assert_eq!(sim.checkout(2), [grant(2, 1, 1), boot(2)], "2 free slots are fewer than 3");
    assert_eq!(sim.checkout(3), [grant(3, 0, 2)], "a boot is already under way");
    assert_eq!(sim.up(2), []);
    sim.checkout(4);
    assert_eq!(sim.growth(), Growth::MaxReached);
}

#[test]
fn an_idle_runner_that_min_free_slots_needs_stays() {
    let mut sim = Sim::with_up(PoolLimits { min_free_slots: 1, ..limits(4, 2) }, 2);
    sim.checkout(1);
    assert_eq!(sim.idle(1, 60_000), [drain_runner(1)], "runner 0 has a slot free");
    sim.gone(1);
    assert_eq!(sim.checkout(2), [grant(2, 0, 1), boot(2)]);
    sim.up(2);
    assert_eq!(sim.idle(2, 60_000), [stay_up(2, None)]);
}

#[test]
fn each_boot_notes_its_reason() {
    let mut sim = Sim::new(PoolLimits { min: 1, min_free_slots: 1, ..limits(9, 1) });
    sim.checkout(1);
    sim.resize(LimitsChange::new().min_free_slots(0));
    sim.checkout(2);
    sim.checkout(3);
    let reasons: Vec<_> = sim
        .notes
        .iter()
        .filter_map(|note| match note {
            Note::GrowStart { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    // The first waiter takes the slot that boots for `min`, the second the slot that boots for
    // `min_free_slots`.
    assert_eq!(reasons, [GrowReason::Min, GrowReason::FreeSlots, GrowReason::Demand]);
}

#[test]
fn min_is_booted_at_once_and_ready_is_noted_once_it_is_up() {
    let (mut sim, first) = Sim::start(PoolLimits { min: 2, ..limits(4, 1) });
    assert_eq!(first, boots(0..2));
    assert_eq!(sim.checkout(1), [], "the boots for `min` count as capacity");
    assert_eq!(sim.up(0), [grant(1, 0, 0)], "a caller does not wait for the rest of `min`");
    assert!(!sim.pool.is_ready());
    sim.up(1);
    assert!(sim.pool.is_ready());
    sim.lose(1);
    sim.up(2);
    assert_eq!(sim.notes.iter().filter(|note| **note == Note::Ready).count(), 1);
}

#[test]
fn a_pool_without_min_is_ready_at_once() {
    let sim = Sim::new(limits(1, 1));
    assert!(sim.pool.is_ready());
    assert_eq!(sim.notes, [Note::Ready]);
}

#[test]
fn a_min_runner_that_has_served_a_call_is_replaced_at_once_when_lost() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(1, 1) }, 1);
    sim.checkout(1);
    sim.check_in(0);
    assert_eq!(sim.lose(0), [stop(0), boot(1)]);
}

#[test]
fn min_runners_that_die_unused_are_replaced_with_backoff() {
    let mut sim = Sim::new(PoolLimits { min: 1, ..limits(1, 1) });
    let mut pauses = Vec::new();
    for runner in 0..6 {
        sim.up(runner);
        assert_eq!(sim.lose(runner), [stop(runner)]);
        let before = sim.now;
        assert_eq!(sim.sleep(), [boot(runner + 1)]);
        pauses.push((sim.now - before).as_millis());
    }
    for (pause, full) in pauses.into_iter().zip([100, 200, 400, 800, 1_600, 1_600]) {
        assert!((full / 2..=full).contains(&pause), "{pause} ms is not in the jitter of {full} ms");
    }
}

#[test]
fn a_min_runner_that_lived_long_is_replaced_at_once_even_if_unused() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, ..limits(1, 1) }, 1);
    sim.advance(1_600);
    assert_eq!(sim.lose(0), [stop(0), boot(1)]);
}

#[test]
fn with_single_use_min_is_refilled_as_soon_as_a_runner_is_used_up() {
    let mut sim = Sim::with_up(PoolLimits { min: 1, single_use: true, ..limits(2, 1) }, 1);
    assert_eq!(sim.checkout(1), [grant(1, 0, 0), boot(1)]);
    assert_eq!(sim.up(1), []);
    assert_eq!(sim.checkout(2), [grant(2, 1, 1)], "max is reached");
    assert_eq!(sim.check_in(0), [drain_runner(0)]);
    assert_eq!(sim.gone(0), [boot(2)]);
}

#[test]
fn pauses_double_up_to_the_longest_and_half_of_each_is_jitter() {
    let many_failures = BootBackoff { breaker_after: 100, ..limits(1, 1).boot_backoff };
    let mut sim = Sim::new(PoolLimits { min: 1, boot_backoff: many_failures, ..limits(1, 1) });
    for (runner, full) in [100, 200, 400, 800, 1_600, 1_600].into_iter().enumerate() {
        let runner = runner as u64;
        assert_eq!(sim.fail(runner, "no"), [stop(runner)]);
        let before = sim.now;
        assert_eq!(sim.sleep(), [boot(runner + 1)]);
        let pause = (sim.now - before).as_millis();
        assert!((full / 2..=full).contains(&pause), "{pause} ms is not in the jitter of {full} ms");
    }
}

#[test]
fn jitter_differs_between_seeds() {
    let retry = |seed| {
        let now = origin();
        let mut pool = PoolState::new(now, PoolLimits { min: 1, ..limits(1, 1) }, seed, None);
        pool.handle(now, Event::BootFailed { runner: RunnerId(0), failure: "no" });
        pool.handle(now, Event::RunnerGone { runner: RunnerId(0) });
        pool.poll_timeout().map(|at| at - now)
    };
    let pauses: std::collections::BTreeSet<_> = (0..16).map(retry).collect();
    assert_eq!(pauses.len(), 16);
}

#[test]
fn boots_that_start_and_fail_together_count_as_one_failure() {
    let mut sim = Sim::new(limits(5, 1));
    for waiter in 0..5 {
        sim.checkout(waiter);
    }
    for runner in 0..5 {
        sim.fail(runner, "no capacity");
    }
    assert!(sim.notes.iter().all(|note| !matches!(note, Note::BreakerOpened { .. })));
    assert!(matches!(sim.notes.last(), Some(Note::BackingOff { failures: 1, .. })));
}

#[test]
fn a_boot_that_comes_up_resets_the_count_of_failures() {
    let mut sim = Sim::new(limits(3, 1));
    for waiter in 0..3 {
        sim.checkout(waiter);
    }
    sim.fail(0, "no");
    sim.up(1);
    sim.fail(2, "no");
    assert!(matches!(sim.notes.last(), Some(Note::BackingOff { failures: 1, .. })));
}

#[test]
fn failures_after_a_boot_that_came_up_are_counted_from_zero() {
    let mut sim = Sim::new(PoolLimits { min: 2, ..limits(2, 1) });
    sim.fail(0, "no");
    sim.fail(1, "no");
    assert_eq!(sim.sleep(), boots(2..4));
    sim.fail(2, "no");
    assert!(matches!(sim.notes.last(), Some(Note::BackingOff { failures: 2, .. })));
    sim.up(3);
    assert_eq!(sim.sleep(), [boot(4)]);
    sim.fail(4, "no");
    assert!(matches!(sim.notes.last(), Some(Note::BackingOff { failures: 1, .. })));
}

#[test]
fn a_boot_that_comes_up_resets_the_count_for_boots_under_way_too() {
    let mut sim = Sim::new(PoolLimits { min: 3, ..limits(3, 1) });
    for runner in 0..3 {
        sim.fail(runner, "no");
    }
    assert_eq!(sim.sleep(), boots(3..6), "each starts after one failure");
    sim.up(3);
    sim.fail(4, "no");
    assert!(matches!(sim.notes.last(), Some(Note::BackingOff { failures: 1, .. })));
}

#[test]
fn a_boot_that_comes_up_shortens_the_pause_to_the_first_one() {
    let slow =
        BootBackoff { first: ms(100), max: ms(60_000), breaker_after: 2, ..BootBackoff::default() };
    let mut sim = Sim::new(PoolLimits { min: 3, boot_backoff: slow, ..limits(3, 1) });
    sim.fail(0, "no");
    assert_eq!(sim.sleep(), [boot(3)]);
    sim.fail(3, "no");
    assert!(matches!(sim.growth(), Growth::BreakerOpen { failures: 2, .. }));
    assert_eq!(sim.up(1), [], "the pause is shortened, not lifted");
    assert_eq!(sim.pool.poll_timeout(), Some(sim.now + ms(100)));
    assert!(sim.notes.contains(&Note::BreakerClosed));
}

#[test]
fn a_half_open_breaker_allows_one_boot_however_many_are_wanted() {
    let backoff = BootBackoff { breaker_after: 1, ..limits(1, 1).boot_backoff };
    let mut sim = Sim::new(PoolLimits { min: 3, boot_backoff: backoff, ..limits(3, 1) });
    for runner in 0..3 {
        sim.fail(runner, "no");
    }
    assert_eq!(sim.sleep(), [boot(3)]);
    assert_eq!(sim.up(3), [boot(4), boot(5)]);
}

#[test]
fn no_boot_starts_before_the_pause_is_over_however_many_calls_wait() {
    let mut sim = Sim::new(limits(9, 1));
    sim.checkout(0);
    sim.fail(0, "no");
    let waited: Vec<_> = (1..4).flat_map(|waiter| sim.checkout(waiter)).collect();
    assert_eq!(waited, []);
    assert!(matches!(
        sim.growth(),
        Growth::BackingOff { failures: 1, last_failure: Some("no"), .. }
    ));
    assert_eq!(sim.advance(10), []);
    assert_eq!(sim.sleep(), boots(1..4));
}

#[test]
fn with_the_breaker_open_and_nothing_up_a_checkout_is_rejected_at_once() {
    let mut sim = Sim::new(limits(9, 1));
    break_boots(&mut sim);
    assert_eq!(sim.checkout(50), [reject(50, CheckoutError::BootFailed("image is missing"))]);
    assert_eq!(sim.pool.poll_timeout(), None, "nobody waits, so there is nothing to retry");
    let open = matches!(sim.growth(), Growth::BreakerOpen { last_failure: Some(_), .. });
    assert!(open, "it says why calls are rejected: {:?}", sim.growth());
}

#[test]
fn with_the_breaker_open_and_a_runner_up_a_checkout_waits_for_it() {
    let mut sim = Sim::with_up(limits(9, 1), 1);
    for waiter in 0..4 {
        sim.checkout(waiter);
    }
    for runner in [1, 2, 3] {
        sim.fail(runner, "no");
    }
    for runner in [4, 7] {
        assert_eq!(sim.sleep(), boots(runner..runner + 3));
        for runner in runner..runner + 3 {
            sim.fail(runner, "no");
        }
    }
    assert_eq!(sim.checkout(9), []);
    assert!(matches!(sim.growth(), Growth::BreakerOpen { failures: 3, .. }));
    assert_eq!(sim.check_in(0), [grant(1, 0, 1)]);
    let lost = sim.lose(0);
    let rejected = [2, 3, 9].map(|waiter| reject(waiter, CheckoutError::BootFailed("no")));
    assert_eq!(lost[0], stop(0));
    assert_eq!(lost[1..], rejected, "there is nothing left to wait for");
}

#[test]
fn after_the_breaker_was_open_a_single_boot_decides() {
    let mut sim = Sim::new(limits(9, 1));
    let next = break_boots(&mut sim);
    sim.advance(10_000);
    assert_eq!(sim.checkout(50), [boot(next)]);
    assert_eq!(sim.checkout(51), [], "one boot at a time");
    assert_eq!(sim.growth(), Growth::BootsUnderWay);
    let rejected =
        [50, 51].map(|waiter| reject(waiter, CheckoutError::BootFailed("still missing")));
    let failed = sim.fail(next, "still missing");
    assert_eq!(failed[0], stop(next));
    assert_eq!(failed[1..], rejected);
    assert_eq!(sim.checkout(52), [reject(52, CheckoutError::BootFailed("still missing"))]);

    sim.advance(10_000);
    assert_eq!(sim.checkout(53), [boot(next + 1)]);
    sim.checkout(54);
    sim.checkout(55);
    let up = sim.up(next + 1);
    assert_eq!(up, [grant(53, next + 1, 0), boot(next + 2), boot(next + 3)]);
    assert!(sim.notes.contains(&Note::BreakerClosed));
}

#[test]
fn a_runner_lost_during_its_boot_is_replaced_for_the_waiters() {
    let mut sim = Sim::new(limits(1, 1));
    sim.checkout(1);
    assert_eq!(sim.lose(0), [stop(0)]);
    assert_eq!(sim.sleep(), [boot(1)]);
    assert_eq!(sim.up(1), [grant(1, 1, 0)]);
}

#[test]
fn growth_is_explained_in_a_sentence() {
    let mut sim = Sim::new(limits(2, 1));
    let said = |sim: &Sim| sim.pool.explain(sim.now).to_string();
    assert_eq!(
        said(&sim),
        "0 up (0 free slots), 0 booting, 0 leaving, max 2; \
         0 queued: not growing: there is no unmet demand"
    );
    sim.checkout(1);
    assert!(said(&sim).ends_with("1 queued: waiting for the boots under way"));
    sim.checkout(2);
    sim.checkout(3);
    assert!(said(&sim).ends_with("3 queued: not growing: `max` is reached"));
    sim.up(0);
    sim.fail(1, "exit code 1");
    let paused = said(&sim);
    assert!(paused.contains("2 queued: next boot in "), "{paused}");
    assert!(
        paused.ends_with("after 1 failure in a row; the last failure: exit code 1"),
        "{paused}"
    );
    sim.now += ms(100);
    assert!(said(&sim).ends_with("growing by 1"));
    sim.drain();
    assert!(said(&sim).ends_with("not growing: the pool is draining"));
}
