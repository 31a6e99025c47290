//! Whole connections to a relay, as strangers and parents open them: any bytes. The relay answers in
//! HTTP or not at all, and closes each connection in the end. Time is virtual.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use flame_relay::config::Config;
use flame_relay::keys::KeyTexts;
use flame_relay::{ByteStream, Relay};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A parent's key, which the seeds have as well.
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Ends the bytes of a connection, before those of the next one.
const SEPARATOR: &[u8] = b"~~~~";
/// Longer than all time limits of a relay together.
const LONGEST: Duration = Duration::from_secs(600);

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(check(bytes));
});

async fn check(bytes: &[u8]) {
    let (sender, connections) = mpsc::channel(1);
    let listen = SocketAddr::from(([127, 0, 0, 1], 8443));
    let mut config = Config::new(listen, KeyTexts::parse(KEY).expect("a valid key"));
    config.trust_forwarded_for = true;
    let relay = Relay::simulated(config, connections).expect("a relay");
    let relay = tokio::spawn(relay.run());
    let mut clients = JoinSet::new();
    for bytes in split(bytes).take(4) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let server: Box<dyn ByteStream> = Box::new(server);
        let peer = SocketAddr::from(([192, 0, 2, 7], 4100));
        sender.send((server, peer)).await.expect("the relay accepts connections");
        clients.spawn(talk(client, bytes.to_vec()));
    }
    let ended = timeout(LONGEST, clients.join_all()).await;
    for answer in ended.expect("the relay closes each connection") {
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
    }
    relay.abort();
}

/// Sends the bytes, and returns what the relay sends until it closes the connection.
async fn talk(client: DuplexStream, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut answer = Vec::new();
    // The relay may close the connection before it has read everything.
    let (_, read) = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut answer));
    read.expect("a connection in memory does not break");
    answer
}

fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let end = bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        is_over = end.is_none();
        let part = &bytes[..end.unwrap_or(bytes.len())];
        bytes = &bytes[(part.len() + SEPARATOR.len()).min(bytes.len())..];
        Some(part)
    })
}
