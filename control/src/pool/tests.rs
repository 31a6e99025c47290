//! Whole pools with a backend that misbehaves as no real platform does on demand, at a paused
//! clock.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use self::fake::{Behaviour, FakeBackend, StopBehaviour};
use crate::backend::Local;
use crate::cost::Budget;
use crate::metrics::CallOutcome;
use crate::pool::state::RunnerId;
use crate::pool::{Events, LimitsChange, Pool, PoolEvent};
use crate::{BootFailureKind, CallError, PoolError, remote};

mod fake;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[remote]
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[remote]
async fn wait(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// Breaks the link of the pool's first runner.
fn break_link(pool: &Pool) {
    let (_, connection) = pool.inner().primary.runner(RunnerId(0)).unwrap();
    connection.unwrap().link.abort("a test");
}

async fn next<T>(events: &mut Events, wanted: impl Fn(&PoolEvent) -> Option<T>) -> T {
    loop {
        let event = events.next().await.expect("the pool goes on").expect("no event is missed");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

/// Whether nothing refers to the pool any more, soon.
async fn is_gone<T>(pool: &Weak<T>) -> bool {
    for _ in 0..100 {
        if pool.strong_count() == 0 {
            return true;
        }
        sleep(SECOND).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_ends_without_a_runner_leaves_nothing() {
    for drained in [true, false] {
        let pool = FakeBackend::default().pool().burst(Local::new()).start().await.unwrap();
        let inner = Arc::downgrade(pool.inner());
        let lanes: Vec<_> = pool.inner().lanes().map(Arc::downgrade).collect();
        assert_eq!(lanes.len(), 2);
        // The pool's tasks have nothing to do, and sleep.
        sleep(SECOND).await;
        if drained {
            pool.drain().await;
        }
        drop(pool);
        assert!(is_gone(&inner).await, "drained: {drained}");
        for lane in &lanes {
            assert!(is_gone(lane).await, "drained: {drained}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_had_runners_leaves_nothing() {
    let pool = FakeBackend::default().pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let inner = Arc::downgrade(pool.inner());
    let lane = Arc::downgrade(&pool.inner().primary);
    drop(pool);
    assert!(is_gone(&inner).await);
    assert!(is_gone(&lane).await);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_drained_leaves_no_task_for_its_shutdown_window() {
    let hour = 60 * MINUTE;
    let pool = FakeBackend::default().pool().shutdown_timeout(hour).burst(Local::new());
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let began = Instant::now();
    pool.drain().await;
    drop(pool);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        sleep(SECOND).await;
    }
    assert!(began.elapsed() < hour, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "FLAME_PARENT has the time of the wall clock")]
async fn a_runner_is_told_when_its_boot_times_out() {
    let unix_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let backend = FakeBackend::default();
    let pool = backend.pool().boot_timeout(MINUTE).start().await.unwrap();
    let earliest = unix_ms() + MINUTE.as_millis();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let latest = unix_ms() + MINUTE.as_millis();
    let parent = backend.parent.lock().unwrap().clone().unwrap();
    let expires = u128::from(parent.expires_unix_ms.unwrap());
    assert!((earliest..=latest).contains(&expires), "{expires}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_fails_the_boot_and_the_next_call_boots_again() {
    let backend = FakeBackend::new(Behaviour { first_boot_panics: true, ..Behaviour::default() });
    let pool = backend.pool().start().await.unwrap();
    let failed = pool.call(add(1, 2)).await;
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert!(failure.reason.contains("the first boot panics"), "{failure}");
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    pool.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_cannot_be_watched_serves_calls() {
    let backend = FakeBackend::new(Behaviour { watch_panics: true, ..Behaviour::default() });
    let pool = backend.pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    assert_eq!(backend.boots(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_returns_too_late_has_failed_and_its_instance_is_stopped() {
    let backend = FakeBackend::new(Behaviour { boot_takes: 3 * SECOND, ..Behaviour::default() });
    let pool = backend.pool().boot_timeout(SECOND).start().await.unwrap();
    let began = Instant::now();
    let failed = pool.call(add(1, 2)).await;
    assert_eq!(began.elapsed(), SECOND);
    let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.kind, BootFailureKind::TimedOut);
    pool.drain().await;
    let instance = backend.instances.lock().unwrap().first().cloned().expect("it has booted");
    assert!(backend.is_dead(&instance));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_waits_for_an_instance_that_is_slow_to_end() {
    let backend = FakeBackend::new(Behaviour { death_delay: 20 * SECOND, ..Behaviour::default() });
    let pool = backend.pool().start().await.unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let mut events = pool.events();
    break_link(&pool);
    next(&mut events, |event| matches!(event, PoolEvent::RunnerLost { .. }).then_some(())).await;
    let began = Instant::now();
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    assert!(began.elapsed() >= 20 * SECOND, "`max` is 1: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_cannot_be_stopped_is_reported_and_no_longer_counts() {
    for stop in [StopBehaviour::DoesNothing, StopBehaviour::Panics] {
        let backend =
            FakeBackend::new(Behaviour { stop, watch_panics: true, ..Behaviour::default() });
        let pool = backend.pool().reconnect_timeout(SECOND).timeout(None).start().await.unwrap();
        assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
        let mut events = pool.events();
        break_link(&pool);
        let waiting = tokio::spawn(pool.call(add(3, 4)));
        let failed = next(&mut events, |event| match event {
            PoolEvent::StopFailed { instance, .. } => Some(instance.clone()),
            _ => None,
        });
        assert_eq!(failed.await, backend.instances.lock().unwrap()[0].id);
        assert_eq!(waiting.await.unwrap().unwrap(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_are_accepted() {
    let pool = FakeBackend::default()
        .pool()
        .timeout(Duration::MAX)
        .boot_timeout(Duration::MAX)
        .shutdown_timeout(Duration::MAX)
        .reconnect_timeout(Duration::MAX)
        .keepalive_timeout(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .boot_backoff(Duration::MAX, Duration::MAX)
        .idle_shutdown_after(SECOND);
    let pool = pool.start().await.unwrap();
    let mut events = pool.events();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    next(&mut events, |event| matches!(event, PoolEvent::Shrink { .. }).then_some(())).await;
    assert_eq!(pool.call(add(3, 4)).await.unwrap(), 7);
    pool.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_resize_is_checked_against_the_present_limits() {
    let pool = FakeBackend::default().pool().max(4).start().await.unwrap();
    pool.resize(LimitsChange::new().max(2)).unwrap();
    let rejected = pool.resize(LimitsChange::new().min(3));
    assert!(matches!(rejected, Err(PoolError::Option { option: "min", .. })), "{rejected:?}");
    let rejected = pool.resize(LimitsChange::new().max_concurrency(u32::MAX));
    assert!(matches!(rejected, Err(PoolError::Option { option: "max_concurrency", .. })));
    let mut events = pool.events();
    pool.resize(LimitsChange::new().min(1)).unwrap();
    next(&mut events, |event| matches!(event, PoolEvent::GrowEnd { up: true, .. }).then_some(()))
        .await;
}

/// The events of one call, in short.
async fn events_until_finished(events: &mut Events, of: &'static str) -> Vec<&'static str> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await.expect("the pool goes on").expect("no event is missed");
        match event {
            PoolEvent::GrowEnd { up: true, .. } => seen.push("up"),
            PoolEvent::CallQueued { function, .. } if function.ends_with(of) => seen.push("queued"),
            PoolEvent::CallStarted { function, .. } if function.ends_with(of) => {
                seen.push("started");
            }
            PoolEvent::CallFinished { function, .. } if function.ends_with(of) => return seen,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_queued_then_its_runner_comes_up_then_it_starts() {
    let pool = FakeBackend::default().pool().start().await.unwrap();
    let mut events = pool.events();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert_eq!(events_until_finished(&mut events, "add").await, ["queued", "up", "started"]);
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert_eq!(events_until_finished(&mut events, "add").await, ["started"], "a slot was free");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_on_both_lanes_is_reported_as_queued_once() {
    let failing = FakeBackend::new(Behaviour {
        boots_fail: true,
        boot_takes: SECOND,
        ..Behaviour::default()
    });
    let pool = FakeBackend::default().pool().burst(failing.clone()).burst_max(1);
    let pool = pool.start().await.unwrap();
    pool.resize(LimitsChange::new().min(1)).unwrap();
    let mut events = pool.events();
    next(&mut events, |event| matches!(event, PoolEvent::GrowEnd { up: true, .. }).then_some(()))
        .await;
    // The only slot of the primary lane is in use, and the burst lane's boot fails.
    let busy = tokio::spawn(pool.call(wait(10)));
    next(&mut events, |event| matches!(event, PoolEvent::CallStarted { .. }).then_some(())).await;
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    busy.await.unwrap().unwrap();
    assert_eq!(failing.boots(), 1);
    assert_eq!(events_until_finished(&mut events, "add").await, ["queued", "started"]);
}

/// The last `CallFinished` of the function: whether it was sent, its outcome, and how long it waited.
async fn finished(events: &mut Events, of: &'static str) -> (bool, CallOutcome, Duration) {
    next(events, |event| match event {
        PoolEvent::CallFinished { runner, function, outcome, queued, .. }
            if function.ends_with(of) =>
        {
            Some((runner.is_some(), *outcome, *queued))
        }
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn each_call_is_counted_once_with_its_outcome_and_its_time_in_the_queue() {
    let pool = FakeBackend::default().pool().max(1).max_concurrency(1).start().await.unwrap();
    let mut events = pool.events();
    let busy = tokio::spawn(pool.call(wait(10)));
    next(&mut events, |event| matches!(event, PoolEvent::CallStarted { .. }).then_some(())).await;
    let late = pool.call(add(1, 2).timeout(4 * SECOND)).await;
    assert!(late.unwrap_err().is_timeout());
    assert_eq!(finished(&mut events, "add").await, (false, CallOutcome::Timeout, 4 * SECOND));
    let dropped = tokio::spawn(pool.call(add(1, 2)));
    next(&mut events, |event| matches!(event, PoolEvent::CallQueued { .. }).then_some(())).await;
    dropped.abort();
    assert_eq!(finished(&mut events, "add").await.1, CallOutcome::Cancelled);
    busy.await.unwrap().unwrap();
    assert_eq!(finished(&mut events, "wait").await.1, CallOutcome::Ok);
    let calls = &pool.inner().primary.recorder.calls;
    let counts: Vec<_> = calls.read().enumerate().filter(|(_, count)| *count > 0).collect();
    let expected = [CallOutcome::Ok, CallOutcome::Timeout, CallOutcome::Cancelled];
    assert_eq!(counts, expected.map(|outcome| (outcome as usize, 1)), "of {expected:?}");
}

/// A backend whose instances cost a dollar per second.
fn priced() -> FakeBackend {
    FakeBackend::new(Behaviour { per_hour: Some(3600.0), ..Behaviour::default() })
}

#[tokio::test(start_paused = true)]
async fn a_pool_knows_what_it_costs_and_each_call_what_its_slot_does() {
    let pool = priced().pool().max_concurrency(4).start().await.unwrap();
    assert!(pool.costs().total.abs() < 1e-9);
    let mut events = pool.events();
    let mut call = pool.call(wait(10));
    assert_eq!(call.estimated_cost(), None, "it has not ended");
    (&mut call).await.unwrap();
    let costs = pool.costs();
    assert!(costs.total >= 10.0 && costs.total < 11.0, "{costs}");
    assert!((costs.per_hour - 3600.0).abs() < 1e-6, "{costs}");
    assert!((costs.per_call.unwrap() - costs.total).abs() < 1e-6, "{costs}");
    let of_call = next(&mut events, |event| match event {
        PoolEvent::CallFinished { estimated_cost, .. } => Some(*estimated_cost),
        _ => None,
    });
    // It had one of four slots.
    let of_call = of_call.await;
    assert!((2.5..3.0).contains(&of_call), "{of_call}");
    assert_eq!(call.estimated_cost(), Some(of_call));
    let mut late = pool.call(wait(10).timeout(Duration::ZERO));
    assert!((&mut late).await.is_err() && late.estimated_cost().is_none(), "no runner got it");
    pool.drain().await;
    let (ended, later) = (pool.costs(), MINUTE);
    tokio::time::sleep(later).await;
    assert_eq!(pool.costs(), ended, "nothing is left that costs");
    assert!(ended.per_hour.abs() < 1e-9 && ended.total >= costs.total, "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_limits_the_runners_and_may_refuse_calls() {
    let pool = priced().pool().max(4).budget(Budget::per_hour(4000.0).refuse());
    let pool = pool.start().await.unwrap();
    let mut events = pool.events();
    let busy = tokio::spawn(pool.call(wait(10)));
    next(&mut events, |event| matches!(event, PoolEvent::CallStarted { .. }).then_some(())).await;
    let refused = pool.call(add(1, 2)).await;
    assert!(
        matches!(refused, Err(CallError::OverBudget { per_hour }) if (per_hour - 4000.0).abs() < 1e-9),
        "{refused:?}"
    );
    busy.await.unwrap().unwrap();
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_can_t_be_kept_is_an_error_at_the_start() {
    let unknown = FakeBackend::default().pool().budget(1.0).start().await;
    let too_low = priced().pool().budget(3599.0).start().await;
    let of_min = priced().pool().max(4).min(3).budget(7200.0).start().await;
    let not_money = priced().pool().budget(-1.0).start().await;
    for (started, named, part) in [
        (unknown, "budget", "unknown"),
        (too_low, "budget", "3600.0000 USD"),
        (of_min, "min", "pays for 2 runners"),
        (not_money, "budget", "above 0"),
    ] {
        let error = started.unwrap_err();
        let PoolError::Option { option, why, .. } = &error else { panic!("{error}") };
        assert!(*option == named && why.contains(part), "{error}");
    }
}
