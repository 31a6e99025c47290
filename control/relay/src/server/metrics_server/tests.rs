use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::Instant;

use super::super::page::tests::page;
use super::*;

/// A client that has sent a request for events, and what serves it.
async fn listener(buffer: usize) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
    let page = page();
    let (mut client, socket) = duplex(buffer);
    let serving = tokio::spawn(serve(Box::new(socket), page.shared().clone(), page));
    client.write_all(b"GET /events HTTP/1.1\r\nhost: relay\r\n\r\n").await.unwrap();
    (client, serving)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_event_is_disconnected_after_a_while() {
    let (_client, serving) = listener(64).await;
    let start = Instant::now();
    serving.await.unwrap();
    let limit = LISTENING_TIME + Duration::from_secs(60);
    assert!(start.elapsed() <= limit, "it was served for {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_gets_events_until_it_has_to_connect_again() {
    let (mut client, serving) = listener(4096).await;
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("event: view\n") && text.contains("event: again\n"), "{text}");
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_no_longer_served() {
    let (client, serving) = listener(64).await;
    let start = Instant::now();
    drop(client);
    serving.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
