//! A relay that exits.

use std::time::Duration;

use flame_wire::relay::{PARENT_PATH, RelayToParent};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{KEY, TestRelay, close_code, connect, receive_binary, refusal};

#[tokio::test]
async fn a_draining_relay_tells_parents_refuses_newcomers_and_keeps_pairs() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_secs(60)).await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    let waiting = relay.runner();
    parent.ticket().await;
    assert!(relay.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    relay.stopper.drain();
    assert_eq!(parent.receive().await, RelayToParent::Draining { within_ms: 60_000 });
    let (status, text) = refusal(waiting.await.unwrap());
    assert_eq!((status, text.contains("draining")), (503, true), "{text}");
    assert_eq!(refusal(relay.runner().await.unwrap()).0, 503);
    assert_eq!(refusal(connect(relay.address, PARENT_PATH, Some(KEY)).await).0, 503);
    assert!(relay.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(relay.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(relay.metric("flame_relay_draining").await, 1.0);
    runner.send(Message::Binary("still here".into())).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"still here");
}

#[tokio::test]
async fn after_the_drain_time_everything_is_closed_with_a_code() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_millis(50)).await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    relay.stopper.drain();
    let (runner, socket, parent) = tokio::join!(
        close_code(&mut runner),
        close_code(&mut socket),
        close_code(&mut parent.socket),
    );
    assert_eq!((runner, socket, parent), (Some(1012), Some(1012), Some(1012)));
    relay.running.await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_early_when_nothing_is_connected() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_secs(3600)).await;
    let parent = relay.parent_of_runner().await;
    relay.stopper.drain();
    drop(parent);
    relay.running.await.unwrap();
}
