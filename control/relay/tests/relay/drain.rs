//! A relay that exits.

use std::time::Duration;

use flame_wire::relay::{PARENT_PATH, RelayToParent};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{KEY, TestRelay, close_code, connect, metric, receive_binary, refusal, soon};

/// The pairs that a relay has closed because it drains.
const CLOSED: &str = "flame_relay_pairs_ended_total{reason=\"draining\"}";

#[tokio::test]
async fn a_draining_relay_tells_parents_refuses_newcomers_and_keeps_pairs() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_secs(60)).await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    let waiting = relay.runner();
    parent.ticket().await;
    assert!(relay.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    relay.stopper.drain();
    let told = soon("the parent is told", parent.receive()).await;
    assert_eq!(told, RelayToParent::Draining { within_ms: 60_000 });
    let waiting = soon("the runner that waits is refused", waiting).await;
    let (status, text) = refusal(waiting.unwrap());
    assert_eq!((status, text.contains("draining")), (503, true), "{text}");
    assert_eq!(refusal(relay.runner().await.unwrap()).0, 503);
    assert_eq!(refusal(connect(relay.address, PARENT_PATH, Some(KEY)).await).0, 503);
    assert!(relay.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(relay.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(relay.metric("flame_relay_draining").await, 1.0);
    runner.send(Message::Binary("still here".into())).await.unwrap();
    let received = soon("the pair forwards messages", receive_binary(&mut socket)).await;
    assert_eq!(received, b"still here");
    assert!(!relay.stopper.metrics().contains(CLOSED), "no pair is closed before the drain time");
}

#[tokio::test]
async fn after_the_drain_time_everything_is_closed_with_a_code() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_millis(50)).await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    relay.stopper.drain();
    let (runner, socket, parent) = tokio::join!(
        soon("the runner is disconnected", close_code(&mut runner)),
        soon("the parent's socket is disconnected", close_code(&mut socket)),
        soon("the parent is disconnected", close_code(&mut parent.socket)),
    );
    assert_eq!((runner, socket, parent), (Some(1012), Some(1012), Some(1012)));
    soon("the relay ends", relay.running).await.unwrap();
    assert_eq!(metric(&relay.stopper.metrics(), CLOSED), 1.0);
}

#[tokio::test]
async fn a_drain_ends_early_when_nothing_is_connected() {
    let relay = TestRelay::with(|config| config.drain_time = Duration::from_secs(3600)).await;
    let parent = relay.parent_of_runner().await;
    relay.stopper.drain();
    drop(parent);
    soon("the relay ends before its drain time is over", relay.running).await.unwrap();
}
