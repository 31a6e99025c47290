//! Each kind of work that a pool accepts, on ECS tasks.

use flame_aws::{Receiver, Sender, channel};
use flame_tests::emulator::EcsApp;
use flame_tests::{Test, demo, tests};
use futures_util::TryStreamExt;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        calls_casts_and_maps_run_in_a_task,
        streams_children_and_held_values_live_in_a_task,
        a_runner_and_its_backend_both_name_the_instance_by_the_tasks_arn,
    ]
}

async fn calls_casts_and_maps_run_in_a_task() {
    let app = EcsApp::new().await;
    let pool = app.pool("calls").await.start().await.unwrap();
    assert_eq!(pool.call(demo::double(21)).await.unwrap(), 42);
    let pid = pool.call(demo::pid()).await.unwrap();
    assert!(app.runs(pid).await, "the call ran in the task's container");
    pool.cast(demo::prints("cast")).await.unwrap();
    let doubled: Vec<u32> = pool.map((0..20).map(demo::double)).try_collect().await.unwrap();
    assert_eq!(doubled, (0..20).map(|n| n * 2).collect::<Vec<_>>());
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn streams_children_and_held_values_live_in_a_task() {
    let app = EcsApp::new().await;
    let pool = app.pool("streams").await.start().await.unwrap();
    let items: Vec<u32> = pool.stream(demo::count(500)).try_collect().await.unwrap();
    assert!(items.iter().copied().eq(0..500));

    let (numbers, receiver): (Sender<u64>, Receiver<u64>) = channel(4);
    let (out, mut squares) = channel(4);
    let child = pool.place_child(demo::squares(receiver, out)).await.unwrap();
    for n in 1..=3 {
        numbers.send(n).await.unwrap();
        assert_eq!(squares.recv().await.unwrap(), Some(n * n));
    }
    drop(numbers);
    assert_eq!(child.join().await.unwrap().unwrap(), 3);

    let held = pool.call(demo::counter(7)).await.unwrap();
    for n in 7..10 {
        let (value, pid) = pool.at(&held).call(demo::next(held.clone())).await.unwrap().unwrap();
        assert_eq!(value, n);
        assert!(app.runs(pid).await);
    }
    drop(held);
    pool.drain().await;
    app.until_nothing_runs().await;
}

async fn a_runner_and_its_backend_both_name_the_instance_by_the_tasks_arn() {
    let app = EcsApp::new().await;
    let pool = app.pool("names").await.max(1).start().await.unwrap();
    let arn = pool.call(demo::ecs_instance()).await.unwrap().unwrap();
    let instance = pool.snapshot().runners[0].instance.clone();
    assert_eq!(instance.as_deref(), Some(arn.as_str()));
    assert!(arn.starts_with("arn:aws:ecs:"), "{arn}");
    pool.drain().await;
}
