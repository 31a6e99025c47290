//! Thousands of runners' sockets in a process of their own, which the measuring process tells what
//! to do:
//!
//! ```text
//!   hold N           open the sockets of N runners   ─▶ "held"
//!   check            send a message on each socket   ─▶ how many came back, and the fewest pings
//!   pairs N MILLIS   N clients connect again and again for this long  ─▶ pairs per second
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flame_relay::open_files;
use futures_util::SinkExt;
use futures_util::future::join_all;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use super::clients::{Socket, connect_runner};
use crate::condition::Condition;
use crate::process::input_lines;
use crate::sample::now;

/// How many sockets are opened at a time.
const OPENING: usize = 128;
/// How long a message may take to come back.
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of the process with the runners' sockets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawRunners {
    relay: SocketAddr,
}

impl RawRunners {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            [relay] => relay.parse().map(|relay| Self { relay }).map_err(|_| relay.to_string()),
            _ => Err("raw runners need the address of a relay".to_owned()),
        }
    }

    pub(crate) fn run(&self) {
        open_files::raise_limit();
        Condition::default().runtime().block_on(self.obey());
    }

    async fn obey(&self) {
        let mut lines = input_lines();
        let mut held = Vec::new();
        while let Some(line) = lines.recv().await {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["hold", count] => {
                    held = self.hold(number(count)).await;
                    println!("held");
                }
                ["check"] => println!("{}", check(&held).await),
                ["pairs", clients, millis] => {
                    let span = Duration::from_millis(number(millis).into());
                    println!("{}", self.pairs_per_s(number(clients), span).await);
                }
                _ => panic!("`{line}` is not an instruction"),
            }
        }
    }

    async fn hold(&self, count: u32) -> Vec<HeldSocket> {
        let sockets = stream::iter(0..count).map(|number| connect_runner(self.relay, number));
        let sockets = sockets.buffer_unordered(OPENING);
        sockets.map(|socket| HeldSocket::hold(socket.expect("a socket"))).collect().await
    }

    /// Connects as one runner after another, with so many clients at a time.
    async fn pairs_per_s(&self, clients: u32, span: Duration) -> f64 {
        let start = now();
        let client = async |number| {
            let mut pairs = 0_u32;
            while start.elapsed() < span {
                connect_runner(self.relay, number).await.expect("a socket");
                pairs += 1;
            }
            pairs
        };
        let pairs: u32 = join_all((0..clients).map(client)).await.into_iter().sum();
        f64::from(pairs) / start.elapsed().as_secs_f64()
    }
}

/// A socket whose task reads it, and so answers pings.
struct HeldSocket {
    pings: Arc<AtomicU32>,
    checks: mpsc::Sender<oneshot::Sender<()>>,
}

impl HeldSocket {
    fn hold(socket: Socket) -> Self {
        let pings = Arc::new(AtomicU32::new(0));
        let (checks, checks_to_do) = mpsc::channel(1);
        tokio::spawn(read(socket, pings.clone(), checks_to_do));
        Self { pings, checks }
    }

    /// Whether a message comes back.
    async fn is_alive(&self) -> bool {
        let (echoed, echo) = oneshot::channel();
        self.checks.send(echoed).await.is_ok()
            && tokio::time::timeout(ECHO_TIMEOUT, echo).await.is_ok_and(|echo| echo.is_ok())
    }
}

async fn read(
    mut socket: Socket,
    pings: Arc<AtomicU32>,
    mut checks: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut checked = None;
    loop {
        tokio::select! {
            Some(check) = checks.recv() => {
                let message = Message::Binary(Bytes::from_static(&[1; 64]));
                if socket.send(message).await.is_err() {
                    return;
                }
                checked = Some(check);
            }
            message = socket.next() => match message {
                Some(Ok(Message::Ping(_))) => {
                    pings.fetch_add(1, Ordering::Relaxed);
                }
                Some(Ok(Message::Binary(_))) => {
                    checked.take().map(|check: oneshot::Sender<()>| check.send(()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// The number of sockets on which a message comes back, and the fewest pings of a socket.
async fn check(held: &[HeldSocket]) -> String {
    let alive: FuturesUnordered<_> = held.iter().map(HeldSocket::is_alive).collect();
    let alive = alive.filter(|alive| std::future::ready(*alive)).count().await;
    let pings = held.iter().map(|socket| socket.pings.load(Ordering::Relaxed)).min();
    format!("{alive} {}", pings.unwrap_or(0))
}

fn number(word: &str) -> u32 {
    word.parse().expect("a number")
}
