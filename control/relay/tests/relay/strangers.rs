//! Clients that are neither parents nor runners, or break the protocol.

use std::time::Duration;

use flame_wire::relay::{RUNNER_PATH, RelayToParent};
use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{RUNNER, TestRelay, close_code, receive_binary, request};

#[tokio::test]
async fn garbage_is_answered_with_an_error_and_disconnected() {
    let relay = TestRelay::start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for garbage in ["\x16\x03\x01\x02\0\x01\0", "GET\r\n\r\n", "\r\n\r\n\0\0\0\r\n", &long, &many] {
        let answer = request(relay.address, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(relay.get("/healthz").await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_slow_request_is_disconnected() {
    let relay = TestRelay::with(|config| {
        config.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    let mut tcp = TcpStream::connect(relay.address).await.unwrap();
    tcp.write_all(b"GET /v1/parent HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).await.unwrap();
    let mut silent = TcpStream::connect(relay.address).await.unwrap();
    silent.read_to_end(&mut rest).await.unwrap();
    while relay.metric("flame_relay_handshakes").await > 1.0 {}
}

#[tokio::test]
async fn clients_that_send_nothing_do_not_keep_others_out() {
    let relay = TestRelay::with(|config| {
        config.max_handshakes = 3;
        config.handshake_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(relay.address).await.unwrap());
    }
    let mut parent = relay.parent_of_runner().await;
    for _ in 0..20 {
        silent.push(TcpStream::connect(relay.address).await.unwrap());
    }
    // Those that are admitted are not replaced.
    let (_runner, _socket) = relay.pair(&mut parent).await;
    let evicted = "flame_relay_handshakes_failed_total{reason=\"evicted\"}";
    assert!(relay.metric(evicted).await >= 30.0);
}

#[tokio::test]
async fn a_runner_that_speaks_before_the_answer_loses_nothing() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let mut tcp = TcpStream::connect(relay.address).await.unwrap();
    let head = format!(
        "GET {RUNNER_PATH}{RUNNER} HTTP/1.1\r\nhost: relay\r\nupgrade: websocket\r\n\
         connection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    // A masked frame right behind the request.
    let frame = b"\x82\x85\0\0\0\0early";
    tcp.write_all(&[head.as_bytes(), frame].concat()).await.unwrap();
    let ticket = parent.ticket().await;
    let mut socket = relay.socket(ticket).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"early");
}

#[tokio::test]
async fn a_client_that_breaks_the_websocket_protocol_is_disconnected() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    runner.send(Message::Text("text".into())).await.unwrap();
    let (runner, socket_code) = tokio::join!(close_code(&mut runner), close_code(&mut socket));
    assert_eq!((runner, socket_code), (Some(1003), Some(1001)));
    let (mut runner, socket) = relay.pair(&mut parent).await;
    let mut tcp = socket.into_inner();
    tcp.write_all(b"\x82\x05naked").await.unwrap();
    assert_eq!(close_code(&mut runner).await, Some(1001));
    drop(tcp);
    relay.until_metric("flame_relay_pairs_ended_total{reason=\"parent_invalid\"}", 1.0).await;
}

#[tokio::test]
async fn a_parent_that_sends_garbage_loses_only_its_own_connection() {
    let relay = TestRelay::start().await;
    let other = relay.parent_of_runner().await;
    let mut parent = relay.parent().await;
    assert!(matches!(parent.welcome, RelayToParent::Welcome { address: None, .. }));
    parent.socket.send(Message::Binary("garbage".into())).await.unwrap();
    assert_eq!(close_code(&mut parent.socket).await, Some(1002));
    let mut other = other;
    let (_runner, _socket) = relay.pair(&mut other).await;
}
