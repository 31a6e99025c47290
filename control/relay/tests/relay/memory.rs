//! The memory of an idle pair.

use flame_wire::ids::RunnerRef;
use flame_wire::relay::RUNNER_PATH;
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::binary::RelayProcess;
use crate::harness::{Clients, KEY, Parent, Socket, connect, receive_binary};

const PAIRS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_pair_costs_little_memory_even_after_large_messages() {
    let process = RelayProcess::start(&[], &[("FLAME_RELAY_KEYS", KEY)]);
    let relay = Clients { address: process.address };
    let mut parent = Parent::connect(process.address, KEY).await.unwrap();
    // The first pairs also pay for what is allocated once.
    let _warm = used_pairs(&relay, &mut parent, 0..50).await;
    let before = process.resident_bytes();
    let _pairs = used_pairs(&relay, &mut parent, 50..50 + PAIRS).await;
    let per_pair = (process.resident_bytes().saturating_sub(before)) / PAIRS;
    println!("an idle pair costs {per_pair} bytes");
    assert!(per_pair <= 8 * 1024, "an idle pair costs {per_pair} bytes");
}

/// Pairs over each of which a message of 256 KiB has passed in both directions.
async fn used_pairs(
    relay: &Clients,
    parent: &mut Parent,
    numbers: std::ops::Range<usize>,
) -> Vec<(Socket, Socket)> {
    let mut pairs = Vec::new();
    for number in numbers {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let runner = RunnerRef::from_bytes(bytes);
        parent.register(&[runner]).await;
        let (address, path) = (relay.address, format!("{RUNNER_PATH}{runner}"));
        let runner = tokio::spawn(async move { connect(address, &path, None).await });
        let ticket = parent.ticket().await;
        let mut socket = relay.socket(ticket).await.unwrap();
        let mut runner = runner.await.unwrap().unwrap();
        let message = Message::Binary(vec![1; 256 * 1024].into());
        let (sent, received) =
            tokio::join!(runner.send(message.clone()), receive_binary(&mut socket));
        sent.unwrap();
        let (sent, echo) = tokio::join!(socket.send(message), receive_binary(&mut runner));
        sent.unwrap();
        assert_eq!(received.len(), echo.len());
        pairs.push((runner, socket));
    }
    pairs
}
