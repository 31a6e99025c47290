//! Values that a careless format loses, and values nested too deep: as arguments, results, errors,
//! stream items and messages.

use std::error::Error;

use flame_aws::{CallError, channel};
use flame_tests::demo::values::{self, Nested, SensorEvent, SensorReading, SensorReport};
use flame_tests::{Test, demo, pool, tests};
use futures_util::TryStreamExt;

pub(crate) fn on_both_backends() -> Vec<Test> {
    tests![
        values_that_formats_often_lose_come_back_unchanged,
        boxed_bytes_cross,
        a_value_nested_too_deep_is_an_error_on_either_side,
    ]
}

fn reports() -> Vec<SensorReport> {
    let reading = Some(SensorReading { at: [10, 0, 0, 7].into() });
    [None, Some(None), Some(Some(()))]
        .into_iter()
        .map(|found| SensorReport { id: 1, reading: reading.clone(), found })
        .chain([SensorReport { id: 2, reading: None, found: Some(None) }])
        .collect()
}

async fn values_that_formats_often_lose_come_back_unchanged() {
    let pool = pool("test").max(1).start().await.unwrap();
    assert_eq!(pool.call(values::reports(reports())).await.unwrap(), reports());
    let items = pool.stream(values::reports_one_by_one(reports()));
    assert_eq!(items.try_collect::<Vec<_>>().await.unwrap(), reports());

    let (sender, receiver) = channel(4);
    let child = pool.place_child(values::reports_sent(receiver)).await.unwrap();
    for report in reports() {
        sender.send(report).await.unwrap();
    }
    drop(sender);
    assert_eq!(child.join().await.unwrap(), reports());

    let event = SensorEvent::Connected { from: ([10, 0, 0, 7], 80).into() };
    for fails in [true, false] {
        let there = pool.call(values::event(event.clone(), fails)).await.unwrap();
        assert_eq!(there, values::event(event.clone(), fails).await);
    }
    let scoped = "[fe80::1%3]:80".parse().unwrap();
    assert_eq!(pool.call(values::address(scoped)).await.unwrap(), scoped);
    for there in [true, false] {
        assert_eq!(pool.call(values::found(there)).await.unwrap(), there.then_some(()));
    }
    pool.drain().await;
}

async fn boxed_bytes_cross() {
    let pool = pool("test").max(1).start().await.unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let there = pool.call(values::bytes(bytes.clone().into())).await.unwrap().unwrap();
    assert!(there == bytes);
    pool.drain().await;
}

async fn a_value_nested_too_deep_is_an_error_on_either_side() {
    let pool = pool("test").max(1).start().await.unwrap();
    assert_eq!(pool.call(values::levels(Nested::of(256))).await.unwrap(), 256);
    for levels in [257, 1_000, 100_000] {
        // Encoded on a worker of the runtime, whose stack is smaller than the main thread's.
        let there = pool.clone();
        let argument = tokio::spawn(async move {
            there.call(values::levels(Nested::of(levels))).await.unwrap_err()
        });
        let argument = argument.await.unwrap();
        let result = pool.call(values::nested(levels)).await.unwrap_err();
        assert!(!argument.may_have_run() && result.may_have_run(), "{argument} {result}");
        for error in [argument, result] {
            assert!(matches!(error, CallError::Codec { .. }), "{error:?}");
            let mut chain = vec![error.to_string()];
            let mut source = error.source();
            while let Some(error) = source {
                chain.push(error.to_string());
                source = error.source();
            }
            assert_eq!(chain.concat().matches("256 levels deep").count(), 1, "{chain:?}");
            assert!(error.to_string().contains("256 levels deep"), "{error}");
        }
    }
    // The runner still serves calls.
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    pool.drain().await;
}
