//! A call's time, and its slot, when the one is over before the function is.

use std::time::Duration;

use flame_aws::{CallError, TimeoutPhase};
use flame_tests::mischief::{self, Gate};
use flame_tests::process::{pids, signal, until_gone};
use flame_tests::{Test, demo, pool, process_pool, tests, until};
use futures_util::StreamExt;
use rustix::process::Signal;

pub(crate) fn on_both() -> Vec<Test> {
    tests![
        a_plain_function_beyond_its_deadline_keeps_its_slot_until_it_returns,
        a_stream_ends_at_its_deadline_however_slowly_it_is_read,
        a_stream_that_nobody_polls_ends_at_its_deadline,
        a_stream_whose_function_has_ended_and_that_nobody_polls_ends_at_its_deadline,
        a_stream_that_nobody_waits_for_ends_at_its_deadline,
        the_time_of_a_stream_starts_when_it_is_polled_first,
    ]
}

pub(crate) fn once() -> Vec<Test> {
    tests![a_stream_that_nobody_polls_holds_no_runner_beyond_its_window]
}

const SHORT: Duration = Duration::from_millis(300);

fn in_time<T>(what: &str, ended: Result<T, tokio::time::error::Elapsed>) -> T {
    ended.unwrap_or_else(|_| panic!("much later, {what}"))
}

fn ran_out(error: &CallError) -> bool {
    matches!(error, CallError::Timeout { phase: TimeoutPhase::Run, .. })
}

async fn a_plain_function_beyond_its_deadline_keeps_its_slot_until_it_returns() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    // A caller that gives the call up as it is late, and one that leaves that to the runner.
    for detached in [false, true] {
        let (mut gate, begun, open) = Gate::new();
        let work = mischief::gated_plainly(begun, open).timeout(SHORT);
        let call = tokio::spawn(pool.call(if detached { work.detached() } else { work }));
        gate.entered().await;
        let late = call.await.unwrap().unwrap_err();
        assert!(ran_out(&late), "{late:?}");
        let full = pool.call(demo::double(1).timeout(SHORT)).await;
        assert!(
            matches!(full, Err(CallError::Timeout { phase: TimeoutPhase::Queue, .. })),
            "{full:?}"
        );
        gate.open();
        assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    }
    pool.drain().await;
}

async fn a_stream_ends_at_its_deadline_however_slowly_it_is_read() {
    let pool = pool("test").max(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(SHORT));
    let read = async {
        loop {
            match items.next().await.expect("the error comes before the end") {
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => break error,
            }
        }
    };
    let error = in_time("items still come", tokio::time::timeout(20 * SHORT, read).await);
    assert!(ran_out(&error), "{error:?}");
    assert!(items.next().await.is_none());
    pool.drain().await;
}

async fn a_stream_that_nobody_polls_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(SHORT));
    items.next().await.unwrap().unwrap();
    // Its items are kept, and its slot is free.
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let error = items.next().await.unwrap().unwrap_err();
    assert!(ran_out(&error), "{error:?}");
    pool.drain().await;
}

async fn a_stream_whose_function_has_ended_and_that_nobody_polls_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    // 400 KB: more than the 256 KiB that are sent ahead of the reader, so the rest waits on the
    // runner, and less than the runner takes from the function before that.
    let mut items = pool.stream(mischief::pieces(40, 10_000).timeout(SHORT));
    items.next().await.unwrap().unwrap();
    assert_eq!(pool.call(demo::double(1).timeout(20 * SHORT)).await.unwrap(), 2);
    let error = items.next().await.unwrap().unwrap_err();
    assert!(ran_out(&error), "{error:?}");
    // One that is read in time ends as it should.
    let items: Vec<_> = pool.stream(mischief::pieces(40, 10_000)).collect().await;
    assert!(items.len() == 40 && items.iter().all(Result::is_ok));
    pool.drain().await;
}

async fn the_time_of_a_stream_starts_when_it_is_polled_first() {
    let pool = pool("test").max(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let stream = pool.stream(demo::count(3).timeout(SHORT));
    let call = pool.call(demo::double(1).timeout(SHORT));
    tokio::time::sleep(2 * SHORT).await;
    // A call's time starts when it is made.
    assert!(matches!(call.await, Err(CallError::Timeout { .. })));
    let items: Vec<_> = stream.collect().await;
    assert!(items.len() == 3 && items.iter().all(Result::is_ok), "{items:?}");
    pool.drain().await;
}

async fn a_stream_that_nobody_waits_for_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(SHORT).detached());
    items.next().await.unwrap().unwrap();
    // From here on its items are dropped as they come, and it is always ready to give more.
    drop(items);
    until("its slot is free", || pool.snapshot().leased == 0).await;
    pool.drain().await;
}

async fn a_stream_that_nobody_polls_holds_no_runner_beyond_its_window() {
    let window = Duration::from_secs(2);
    let pool = process_pool("test").max(1).shutdown_timeout(window).start().await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(None));
    items.next().await.unwrap().unwrap();
    let pid = pids(&pool)[0];
    let told = tokio::time::Instant::now();
    signal(pid, Signal::TERM);
    until_gone(&[pid]).await;
    let took = told.elapsed();
    assert!(took < 2 * window, "one window is enough: {took:?}");
    let error = loop {
        match items.next().await.expect("the error comes before the end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CallError::Cancelled), "{error:?}");
    pool.drain().await;
}
