//! The limits on connections, times and buffers.

use std::time::Duration;

use flame_wire::ids::RunnerRef;
use flame_wire::relay::{PARENT_PATH, RelayToParent};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    KEY, OTHER_KEY, Parent, RUNNER, TestRelay, close_code, connect, receive_binary, refusal,
};

#[tokio::test]
async fn each_limit_on_connections_has_its_own_refusal() {
    for (limit, expected) in [
        (0, "too many connections: the limit of this relay is 1"),
        (1, "too many connections from this address: the limit of this relay is 1"),
        (2, "too many connections with this key: the limit of this relay is 1"),
    ] {
        let relay = TestRelay::with(|config| match limit {
            0 => config.limits.connections = 1,
            1 => config.limits.connections_per_address = 1,
            _ => config.limits.connections_per_key = 1,
        })
        .await;
        let first = relay.parent().await;
        let second = connect(relay.address, PARENT_PATH, Some(KEY)).await;
        assert_eq!(refusal(second), (429, format!("{expected}\n")));
        let other = Parent::connect(relay.address, OTHER_KEY).await;
        assert_eq!(other.is_ok(), limit == 2, "only the limit of the key is another one");
        drop(first);
        // The relay notices the end soon, but not at once.
        while Parent::connect(relay.address, KEY).await.is_err() {}
    }
}

#[tokio::test]
async fn a_parent_learns_its_limit_and_which_runners_are_over_it() {
    let relay = TestRelay::with(|config| config.limits.runners_per_parent = 1).await;
    let mut parent = relay.parent().await;
    assert!(matches!(parent.welcome, RelayToParent::Welcome { max_runners: 1, .. }));
    let other = RunnerRef::from_bytes([8; 16]);
    let register = flame_wire::relay::ParentToRelay::Register {
        runners: vec![RUNNER, other],
        expires_in_ms: 60_000,
    };
    parent.socket.send(Message::Binary(register.encode().unwrap().into())).await.unwrap();
    let rejected = RelayToParent::Rejected { runners: vec![other], max_runners: 1 };
    assert_eq!(parent.receive().await, rejected);
}

#[tokio::test]
async fn addresses_behind_a_trusted_load_balancer_are_told_apart() {
    let relay = TestRelay::with(|config| {
        config.limits.connections_per_address = 1;
        config.trust_forwarded_for = true;
    })
    .await;
    let parent = |from: &'static str| {
        let address = relay.address;
        async move {
            let head = format!(
                "GET {PARENT_PATH} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\n\
                 x-forwarded-for: {from}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut tcp, head.as_bytes()).await.unwrap();
            let mut status = [0; 12];
            tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut status).await.unwrap();
            (tcp, String::from_utf8(status.to_vec()).unwrap())
        }
    };
    let (_first, status) = parent("192.0.2.1").await;
    assert_eq!(status, "HTTP/1.1 101");
    let (_second, status) = parent("192.0.2.2").await;
    assert_eq!(status, "HTTP/1.1 101");
    let (_forged, status) = parent("198.51.100.9, 192.0.2.2").await;
    assert_eq!(status, "HTTP/1.1 429", "only what the load balancer has appended counts");
}

/// The receiver's socket buffers, and then the relay's, fill up; then the sender has to wait.
#[tokio::test]
async fn a_slow_reader_stops_the_sender_and_fills_no_memory() {
    const CHUNK: usize = 64 * 1024;
    const MESSAGES: usize = 1024;
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    let (sent, mut progress) = tokio::sync::watch::channel(0usize);
    let sender = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            runner.send(Message::Binary(vec![1; CHUNK].into())).await.unwrap();
            sent.send_modify(|sent| *sent += 1);
        }
        runner
    });
    // The sender is blocked once it makes no progress.
    while tokio::time::timeout(Duration::from_millis(500), progress.changed()).await.is_ok() {}
    let stopped_at = *progress.borrow();
    assert!(
        stopped_at < MESSAGES / 2,
        "the sender got rid of {stopped_at} messages that nobody reads"
    );
    for _ in 0..MESSAGES {
        assert_eq!(receive_binary(&mut socket).await.len(), CHUNK);
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn a_reader_that_never_reads_is_disconnected() {
    let relay = TestRelay::with(|config| {
        config.pair.write_timeout = Duration::from_millis(200);
    })
    .await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, socket) = relay.pair(&mut parent).await;
    let message = Message::Binary(vec![1; 1 << 20].into());
    while runner.send(message.clone()).await.is_ok() {}
    drop((runner, socket));
    relay.until_metric("flame_relay_pairs_ended_total{reason=\"parent_blocked\"}", 1.0).await;
}

#[tokio::test]
async fn a_pair_without_messages_is_closed() {
    let relay = TestRelay::with(|config| {
        config.pair.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    let (runner, socket) = tokio::join!(close_code(&mut runner), close_code(&mut socket));
    assert_eq!((runner, socket), (Some(1001), Some(1001)));
}

#[tokio::test]
async fn a_parent_that_answers_no_ping_loses_its_registrations() {
    let relay = TestRelay::with(|config| {
        config.pair.ping_interval = Duration::from_millis(50);
        config.pair.pong_timeout = Duration::from_millis(500);
    })
    .await;
    // This parent does not read after it has registered.
    let _parent = relay.parent_of_runner().await;
    relay.until_metric("flame_relay_registered_runners", 0.0).await;
    relay.until_metric("flame_relay_connections{kind=\"parent\"}", 0.0).await;
}

#[tokio::test]
async fn a_parent_that_answers_pings_stays_connected() {
    let relay = TestRelay::with(|config| {
        config.pair.ping_interval = Duration::from_millis(20);
        config.pair.pong_timeout = Duration::from_secs(5);
    })
    .await;
    let mut parent = relay.parent_of_runner().await;
    for _ in 0..5 {
        assert!(matches!(parent.socket.next().await, Some(Ok(Message::Ping(_)))));
    }
    let (_runner, _socket) = relay.pair(&mut parent).await;
}

#[tokio::test]
async fn a_silent_side_is_pinged_and_one_that_does_not_answer_is_disconnected() {
    let relay = TestRelay::with(|config| {
        config.pair.ping_interval = Duration::from_millis(50);
        config.pair.pong_timeout = Duration::from_secs(1);
    })
    .await;
    let mut parent = relay.parent_of_runner().await;
    // This runner does not read, so it answers no ping.
    let (_runner, mut socket) = relay.pair(&mut parent).await;
    let mut pings = 0;
    let closed = loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_))) => pings += 1,
            Some(Ok(Message::Close(frame))) => break frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break None,
        }
    };
    assert_eq!(closed, Some(1001u16));
    assert!(pings >= 1, "the side that answers was pinged");
    drop(socket);
    relay.until_metric("flame_relay_pairs_ended_total{reason=\"runner_silent\"}", 1.0).await;
}
