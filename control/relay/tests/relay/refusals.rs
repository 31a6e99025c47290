//! Each refusal has a status and a text.

use std::time::Duration;

use flame_wire::relay::{PARENT_PATH, ParentToRelay, RUNNER_PATH, SOCKET_PATH, Ticket};

use crate::harness::{KEY, OTHER_KEY, Parent, RUNNER, TestRelay, connect, refusal};

#[tokio::test]
async fn a_parent_needs_a_valid_key() {
    let relay = TestRelay::start().await;
    let ticket = Ticket::from_bytes([1; 16]).to_path();
    for path in [PARENT_PATH.to_owned(), format!("{SOCKET_PATH}{ticket}")] {
        for key in [None, Some("wrong"), Some(&KEY[1..]), Some(&*format!("{KEY}x"))] {
            let (status, text) = refusal(connect(relay.address, &path, key).await);
            assert_eq!(status, 401, "{path}");
            assert!(text.contains("a valid relay key"), "{text}");
            assert!(!text.contains("wrong"), "{text}");
        }
    }
}

#[tokio::test]
async fn each_valid_key_opens_a_control_connection() {
    let relay = TestRelay::start().await;
    for key in [KEY, OTHER_KEY] {
        Parent::connect(relay.address, key).await.unwrap();
    }
}

#[tokio::test]
async fn a_runner_that_is_not_registered_is_refused() {
    let relay = TestRelay::start().await;
    let (status, text) = refusal(relay.runner().await.unwrap());
    assert_eq!((status, text.contains("not registered")), (404, true), "{text}");
    let garbage = connect(relay.address, &format!("{RUNNER_PATH}../../etc/passwd"), None).await;
    assert_eq!(refusal(garbage).0, 404);
}

#[tokio::test]
async fn a_runner_that_is_unregistered_is_refused_even_while_it_waits() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let waiting = relay.runner();
    parent.ticket().await;
    parent.send(&ParentToRelay::Unregister { runners: vec![RUNNER] }).await;
    assert_eq!(refusal(waiting.await.unwrap()).0, 404);
    assert_eq!(refusal(relay.runner().await.unwrap()).0, 404);
}

#[tokio::test]
async fn a_ticket_is_valid_once_and_for_its_own_key() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let runner = relay.runner();
    let ticket = parent.ticket().await;
    let path = format!("{SOCKET_PATH}{}", ticket.to_path());
    let (status, text) = refusal(connect(relay.address, &path, Some(OTHER_KEY)).await);
    assert_eq!((status, text.contains("no runner waits")), (404, true), "{text}");
    let _socket = relay.socket(ticket).await.unwrap();
    let _runner = runner.await.unwrap().unwrap();
    assert_eq!(refusal(relay.socket(ticket).await).0, 404);
    assert_eq!(refusal(relay.socket(Ticket::from_bytes([1; 16])).await).0, 404);
}

#[tokio::test]
async fn a_runner_whose_parent_does_not_answer_is_refused_in_time() {
    let pair_timeout = Duration::from_millis(200);
    let relay = TestRelay::with(|config| config.limits.pair_timeout = pair_timeout).await;
    let mut parent = relay.parent_of_runner().await;
    let runner = relay.runner();
    let ticket = parent.ticket().await;
    let (status, text) = refusal(runner.await.unwrap());
    assert_eq!((status, text.contains("within 0.2 s")), (504, true), "{text}");
    assert_eq!(refusal(relay.socket(ticket).await).0, 404);
}

#[tokio::test]
async fn a_runner_whose_parent_disconnects_is_refused() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent_of_runner().await;
    let runner = relay.runner();
    parent.ticket().await;
    drop(parent);
    let (status, text) = refusal(runner.await.unwrap());
    assert_eq!((status, text.contains("has disconnected")), (504, true), "{text}");
}

#[tokio::test]
async fn a_registration_expires() {
    let relay = TestRelay::start().await;
    let mut parent = relay.parent().await;
    parent.register_for(&[RUNNER], Duration::from_millis(1)).await;
    while relay.metric("flame_relay_registered_runners").await > 0.0 {}
    assert_eq!(refusal(relay.runner().await.unwrap()).0, 404);
}

#[tokio::test]
async fn other_paths_and_plain_requests_are_refused() {
    let relay = TestRelay::start().await;
    assert!(relay.get("/").await.starts_with("HTTP/1.1 404 "));
    let answer = relay.get(&format!("{RUNNER_PATH}{RUNNER}")).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.ends_with("WebSocket upgrades only (GET, Sec-WebSocket-Version 13)\n"));
}
