//! All that a pool can be asked for, on tasks.

use flame_aws::{Receiver, Sender, channel};
use flame_tests::emulator::EcsApp;
use flame_tests::{Test, demo, tests};
use futures_util::TryStreamExt;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_call_a_cast_and_a_map_run_in_a_task,
        a_stream_a_child_and_a_held_value_live_in_a_task,
        a_runner_calls_its_instance_as_its_backend_does_by_the_tasks_arn,
    ]
}

async fn a_call_a_cast_and_a_map_run_in_a_task() {
    let app = EcsApp::new().await;
    let pool = app.pool("calls").await.start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    let pid = pool.call(demo::pid()).await.unwrap();
    assert!(app.runs(pid).await, "it is the container");
    pool.cast(demo::prints("cast")).await.unwrap();
    let doubled: Vec<u32> = pool.map((0..20).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled, (0..20).map(|n| n * 2).collect::<Vec<_>>());
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_stream_a_child_and_a_held_value_live_in_a_task() {
    let app = EcsApp::new().await;
    let pool = app.pool("streams").await.start().await.unwrap();
    let items: Vec<u32> = pool.stream(demo::count(500)).try_collect().await.unwrap();
    assert!(items.iter().copied().eq(0..500));

    let (numbers, theirs): (Sender<u64>, Receiver<u64>) = channel(4);
    let (out, mut squares) = channel(4);
    let child = pool.place_child(demo::squares(theirs, out)).await.unwrap();
    for n in 1..=3 {
        numbers.send(n).await.unwrap();
        assert_eq!(squares.recv().await.unwrap(), Some(n * n));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), 3);

    let held = pool.call(demo::counter(7)).await.unwrap();
    for n in 7..10 {
        let (seen, pid) = pool.at(&held).call(demo::next(held.clone())).await.unwrap().unwrap();
        assert_eq!(seen, n);
        assert!(app.runs(pid).await);
    }
    drop(held);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_runner_calls_its_instance_as_its_backend_does_by_the_tasks_arn() {
    let app = EcsApp::new().await;
    let pool = app.pool("names").await.max(1).start().await.unwrap();
    let named = pool.call(demo::ecs_instance()).await.unwrap().unwrap();
    let instance = pool.snapshot().runners[0].instance.clone();
    assert_eq!(instance.as_deref(), Some(named.as_str()));
    assert!(named.starts_with("arn:aws:ecs:"), "{named}");
    pool.drain().await;
}
