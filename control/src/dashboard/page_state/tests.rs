use tokio::time::sleep;

use super::*;
use crate::backend::Local;
use crate::{Pool, remote};

#[remote]
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

async fn pool(name: &str) -> Pool {
    Pool::builder(name).max(2).backend(Local::new()).start().await.unwrap()
}

fn state(pools: &[&Pool]) -> Arc<PageState> {
    let dashboard = super::super::Dashboard::of(pools.iter().copied());
    PageState::start(dashboard.pools, false)
}

/// The view after all events so far have been recorded.
async fn view(state: &PageState) -> Arc<PageView> {
    sleep(REFRESH_EVERY).await;
    state.view()
}

#[tokio::test(start_paused = true)]
async fn a_view_changes_only_when_a_pool_changes() {
    let pool = pool("a").await;
    let state = state(&[&pool]);
    let first = view(&state).await;
    let second = view(&state).await;
    assert_eq!(second.patch(&first), None, "only time has passed");
    assert!(second.unix_ms > first.unix_ms);
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    let third = view(&state).await;
    let fourth = view(&state).await;
    assert!(third.patch(&second).is_some());
    assert_eq!(fourth.patch(&third), None, "the age of a runner is no change");
}

#[tokio::test(start_paused = true)]
async fn a_view_and_its_patch_make_the_next_view() {
    let (a, b) = (pool("a").await, pool("b").await);
    let state = state(&[&a, &b]);
    let first = view(&state).await;
    assert_eq!(b.call(add(1, 2)).await.unwrap(), 3);
    let second = view(&state).await;
    let patch = second.patch(&first).unwrap();
    let changed = |index: usize| patch["pools"][index].as_object().unwrap().clone();
    assert!(changed(0).is_empty(), "{patch}");
    assert!(changed(1).contains_key("finished") && !changed(1).contains_key("name"), "{patch}");
    let mut patched = first.pools.clone();
    patched[1].extend(changed(1));
    assert_eq!(patched, second.pools);
    assert_eq!(second.pools[1]["finished"][0]["outcome"], "ok");
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_read_the_pools_once() {
    let pool = pool("a").await;
    let state = state(&[&pool]);
    let first = view(&state).await;
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert!(Arc::ptr_eq(&first, &state.view()), "it is less than 250 ms old");
}

#[tokio::test(start_paused = true)]
async fn a_pool_does_not_live_on_because_of_its_page() {
    let pool = pool("a").await;
    let state = state(&[&pool]);
    assert_eq!(pool.call(add(1, 2)).await.unwrap(), 3);
    assert!(!view(&state).await.ended);
    let inner = Arc::downgrade(pool.inner());
    pool.drain().await;
    drop(pool);
    for _ in 0..100 {
        sleep(REFRESH_EVERY).await;
    }
    assert_eq!(inner.strong_count(), 0);
    let view = state.view();
    assert!(view.ended);
    assert_eq!(view.pools[0]["stage"], "drained");
    assert_eq!(view.pools[0]["runners"], json!([]));
    let metrics = view.pools[0]["metrics"].as_array().unwrap();
    let calls = metrics.iter().find(|metric| metric["name"] == "flame.calls").unwrap();
    assert_eq!((&calls["attribute"], &calls["total"]), (&json!("ok"), &json!(1.0)));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_gone_leaves_no_task() {
    let pool = pool("a").await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let state = state(&[&pool]);
    assert_eq!(tasks(), before + 1);
    drop(state);
    sleep(REFRESH_EVERY).await;
    assert_eq!(tasks(), before);
    assert!(!pool.inner().has_event_listeners());
}
