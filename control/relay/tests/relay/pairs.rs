//! Messages between a runner and its parent.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::harness::{TestRelay, close_code, receive_binary};

#[tokio::test]
async fn messages_pass_in_both_directions() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    runner.send(Message::Binary("from the runner".into())).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"from the runner");
    socket.send(Message::Binary("from the parent".into())).await.unwrap();
    assert_eq!(receive_binary(&mut runner).await, b"from the parent");
}

#[tokio::test]
async fn the_longest_times_do_not_overflow() {
    let relay = TestRelay::with(|config| {
        for time in [
            &mut config.limits.pair_timeout,
            &mut config.pair.write_timeout,
            &mut config.pair.idle_timeout,
            &mut config.pair.ping_interval,
            &mut config.pair.pong_timeout,
            &mut config.handshake_timeout,
            &mut config.drain_time,
        ] {
            *time = std::time::Duration::MAX;
        }
    })
    .await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    runner.send(Message::Binary("still here".into())).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"still here");
}

#[tokio::test]
async fn messages_of_any_length_arrive_unchanged() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 20 << 20] {
        let message: Bytes = (0..len).map(|i: u32| i.to_le_bytes()[i as usize % 3]).collect();
        let sent = tokio::spawn(async move {
            runner.send(Message::Binary(message.clone())).await.unwrap();
            (runner, message)
        });
        let received = receive_binary(&mut socket).await;
        let message;
        (runner, message) = sent.await.unwrap();
        assert!(received == message, "a message of {len} bytes has changed");
        let echo = tokio::spawn(async move {
            socket.send(Message::Binary(received.into())).await.unwrap();
            socket
        });
        assert!(
            receive_binary(&mut runner).await == message,
            "the echo of {len} bytes has changed"
        );
        socket = echo.await.unwrap();
    }
}

#[tokio::test]
async fn a_close_frame_reaches_the_other_side_with_its_code() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    let frame = CloseFrame { code: 4000.into(), reason: "bye".into() };
    runner.send(Message::Binary("last".into())).await.unwrap();
    runner.send(Message::Close(Some(frame.clone()))).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"last");
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(frame)));
    assert_eq!(close_code(&mut runner).await, Some(4000), "the relay answers the close frame");
}

#[tokio::test]
async fn the_loss_of_one_side_closes_the_other() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (runner, mut socket) = relay.pair(&mut parent).await;
    drop(runner);
    assert_eq!(close_code(&mut socket).await, Some(1001));
    let (mut runner, socket) = relay.pair(&mut parent).await;
    drop(socket);
    assert_eq!(close_code(&mut runner).await, Some(1001));
}
