//! Calls and streams whose deadline passes before their function returns.

use std::time::Duration;

use flame_aws::{CallError, TimeoutPhase};
use flame_tests::demo::{
    channels,
    gates::{self, Gate},
};
use flame_tests::process::{pids, signal, until_gone};
use flame_tests::{Test, demo, pool, process_pool, tests, until};
use futures_util::StreamExt;
use rustix::process::Signal;

pub(crate) fn on_both_backends() -> Vec<Test> {
    tests![
        a_plain_function_past_its_deadline_keeps_its_slot_until_it_returns,
        a_stream_ends_at_its_deadline_however_slowly_it_is_read,
        an_unpolled_stream_ends_at_its_deadline,
        an_unpolled_stream_of_a_finished_function_ends_at_its_deadline,
        a_dropped_detached_stream_ends_at_its_deadline,
        a_streams_timeout_starts_at_its_first_poll,
    ]
}

pub(crate) fn on_one_backend() -> Vec<Test> {
    tests![an_unpolled_stream_delays_a_runners_exit_by_at_most_the_shutdown_timeout]
}

const SHORT: Duration = Duration::from_millis(300);

fn timed_out(error: &CallError) -> bool {
    matches!(error, CallError::Timeout { phase: TimeoutPhase::Run, .. })
}

async fn a_plain_function_past_its_deadline_keeps_its_slot_until_it_returns() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    // An attached call is given up by its caller, a detached call by its runner.
    for detached in [false, true] {
        let (mut gate, begun, open) = Gate::new();
        let work = gates::gated_plainly(begun, open).timeout(SHORT);
        let call = tokio::spawn(pool.call(if detached { work.detached() } else { work }));
        gate.entered().await;
        let late = call.await.unwrap().unwrap_err();
        assert!(timed_out(&late), "{late:?}");
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
    let error = tokio::time::timeout(20 * SHORT, read).await.expect("the stream ends");
    assert!(timed_out(&error), "{error:?}");
    assert!(items.next().await.is_none());
    pool.drain().await;
}

async fn an_unpolled_stream_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(SHORT));
    items.next().await.unwrap().unwrap();
    // At the deadline the slot is free, although the items are still unread.
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let error = items.next().await.unwrap().unwrap_err();
    assert!(timed_out(&error), "{error:?}");
    pool.drain().await;
}

async fn an_unpolled_stream_of_a_finished_function_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    // 400 KB is more than the 256 KiB that are sent ahead of the reader, so some items wait on the
    // runner; and it is little enough that the function has returned by then.
    let mut items = pool.stream(channels::streams_blobs(40, 10_000).timeout(SHORT));
    items.next().await.unwrap().unwrap();
    assert_eq!(pool.call(demo::double(1).timeout(20 * SHORT)).await.unwrap(), 2);
    let error = items.next().await.unwrap().unwrap_err();
    assert!(timed_out(&error), "{error:?}");
    // A stream that is read in time ends without an error.
    let items: Vec<_> = pool.stream(channels::streams_blobs(40, 10_000)).collect().await;
    assert!(items.len() == 40 && items.iter().all(Result::is_ok));
    pool.drain().await;
}

async fn a_streams_timeout_starts_at_its_first_poll() {
    let pool = pool("test").max(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let stream = pool.stream(demo::count(3).timeout(SHORT));
    let call = pool.call(demo::double(1).timeout(SHORT));
    tokio::time::sleep(2 * SHORT).await;
    // The timeout of a call starts when the call is made.
    assert!(matches!(call.await, Err(CallError::Timeout { .. })));
    let items: Vec<_> = stream.collect().await;
    assert!(items.len() == 3 && items.iter().all(Result::is_ok), "{items:?}");
    pool.drain().await;
}

async fn a_dropped_detached_stream_ends_at_its_deadline() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(SHORT).detached());
    items.next().await.unwrap().unwrap();
    // From here on items are dropped on arrival, so back-pressure never pauses the stream.
    drop(items);
    until("the slot is free", || pool.snapshot().leased == 0).await;
    pool.drain().await;
}

async fn an_unpolled_stream_delays_a_runners_exit_by_at_most_the_shutdown_timeout() {
    let window = Duration::from_secs(2);
    let pool = process_pool("test").max(1).shutdown_timeout(window).start().await.unwrap();
    let mut items = pool.stream(demo::endless().timeout(None));
    items.next().await.unwrap().unwrap();
    let pid = pids(&pool)[0];
    let signalled = tokio::time::Instant::now();
    signal(pid, Signal::TERM);
    until_gone(&[pid]).await;
    let took = signalled.elapsed();
    assert!(took < 2 * window, "the runner exits after one window, not {took:?}");
    let error = loop {
        match items.next().await.expect("the error comes before the end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CallError::Cancelled), "{error:?}");
    pool.drain().await;
}
