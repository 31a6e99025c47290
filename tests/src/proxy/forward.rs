//! One connection of a proxy: the bytes in both directions, and what the network does to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::{Rng, RngCore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::budget::{Budget, Fault};
use super::reordering::Turn;
use super::{Direction, Network, ProxyState};

/// How many bytes are read at a time.
const CHUNK: usize = 16 * 1024;
/// The pause after each chunk of a trickle.
const TRICKLE_PAUSE: Duration = Duration::from_millis(10);
/// How many random bytes are inserted at most.
const MAX_GARBAGE: usize = 64;

/// Connects the client with the server, until either side or the network ends the connection.
pub(super) async fn forward(state: Arc<ProxyState>, mut client: TcpStream, turn: Option<Turn>) {
    let mut network = state.network.subscribe();
    let changes_before = network.borrow().0;
    if network.borrow().1 == Network::Down {
        return;
    }
    let connected = tokio::select! {
        connected = connect(&state, &client, turn) => connected,
        _ = network.wait_for(|(_, network)| *network == Network::Down) => None,
    };
    let Some(mut server) = connected else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let budget = Budget::new(&state);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        () = copy(&state, &budget, Direction::ToServer, from_client, to_server) => {}
        () = copy(&state, &budget, Direction::ToClient, from_server, to_client) => {}
        _ = network.wait_for(|(changes, network)| match network {
            Network::Down => true,
            Network::HalfOpen => *changes > changes_before,
            _ => false,
        }) => {}
    }
    state.ended.fetch_add(1, Ordering::SeqCst);
    let half_open = network.borrow().1 == Network::HalfOpen;
    if half_open {
        drop(server);
        let _ = network.wait_for(|(_, network)| *network == Network::Down).await;
        return;
    }
    // Each side sees either a reset or an orderly end.
    if state.random().random() {
        let _ = client.set_zero_linger();
    }
    if state.random().random() {
        let _ = server.set_zero_linger();
    }
}

/// Opens the connection to the server, when it is the client's turn.
async fn connect(
    state: &ProxyState,
    client: &TcpStream,
    mut turn: Option<Turn>,
) -> Option<TcpStream> {
    if !state.clients.include(client).await {
        return None;
    }
    if let Some(turn) = &mut turn {
        turn.wait().await;
    }
    let server = TcpStream::connect(state.to).await.ok()?;
    state.opened.fetch_add(1, Ordering::SeqCst);
    Some(server)
}

/// Copies bytes in one direction, until either end closes or the network cuts the connection.
async fn copy(
    state: &ProxyState,
    budget: &Budget<'_>,
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(len @ 1..) = from.read(&mut chunk[..state.readable()]).await {
        state.pass(direction).await;
        let (allowed, fault) = budget.take(len);
        let (before, after) = chunk[..len].split_at(allowed);
        let written = match fault {
            None => to.write_all(before).await,
            Some(Fault::Cut) => {
                let _ = to.write_all(before).await;
                return;
            }
            Some(Fault::Garbage) => to.write_all(&[before, &state.garbage(), after].concat()).await,
        };
        if written.is_err() {
            return;
        }
        if direction == Direction::ToServer {
            state.sent.fetch_add(len as u64, Ordering::SeqCst);
        }
    }
}

impl ProxyState {
    /// How many bytes may be read at once.
    fn readable(&self) -> usize {
        match self.network.borrow().1 {
            Network::Trickle(len) => len.clamp(1, CHUNK),
            _ => CHUNK,
        }
    }

    /// Waits until a chunk may pass in this direction.
    async fn pass(&self, direction: Direction) {
        let mut network = self.network.subscribe();
        let moving = network.wait_for(|(_, network)| network.passes(direction));
        let Ok(now) = moving.await.map(|now| now.1.clone()) else { return };
        let pause = match now {
            Network::Delays(range) => Duration::from_millis(self.random().random_range(range)),
            Network::Trickle(_) => TRICKLE_PAUSE,
            _ => return,
        };
        tokio::time::sleep(pause).await;
    }

    fn garbage(&self) -> Vec<u8> {
        let mut random = self.random();
        let mut bytes = vec![0; random.random_range(1..=MAX_GARBAGE)];
        random.fill_bytes(&mut bytes);
        bytes
    }
}
