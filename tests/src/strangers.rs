//! Strangers: clients that connect to a parent or to a relay and may not get in, because they have
//! no valid ref, no valid key, no valid TLS, or never finish their handshake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_link::{HelloOutcome, dial, say_hello};
use flame_wire::hello::Proof;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::{Fingerprint, FlameParent};
use flame_wire::relay::{PARENT_PATH, RUNNER_PATH};
use flame_wire::token::Token;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::impostor;

/// How many strangers may be connected at a time. More wait for their turn.
const MAX_CONNECTED: usize = 4_000;
/// How long a server may take to answer a stranger.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after each byte of a slow handshake.
const SLOW_PAUSE: Duration = Duration::from_millis(250);

/// Strangers that arrive at a constant rate.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// How many there are for each target.
    pub strangers: u64,
    /// How many connect in a second, all targets together.
    pub per_second: u32,
    /// How long a slow stranger stays at most.
    pub patience: Duration,
    /// The targets to which they connect, in turns.
    pub targets: Vec<Target>,
}

/// The target to which a stranger connects.
#[derive(Clone, Debug)]
pub enum Target {
    /// A parent, found through the FLAME_PARENT of one of its runners. The strangers don't use its
    /// secrets.
    Parent(Arc<FlameParent>),
    /// A relay.
    Relay(SocketAddr),
}

/// A kind of stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Says that it is a runner that nobody expects.
    BadRef,
    /// Has a wrong token, or a wrong relay key.
    BadKey,
    /// Does not speak TLS as expected: it does not trust the parent, or speaks TLS to a relay that
    /// expects HTTP.
    BadTls,
    /// Sends a byte of its request now and then.
    SlowHandshake,
}

/// The visits of strangers.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    /// How many there were of each kind at each target.
    pub counts: BTreeMap<String, u64>,
    /// The strangers that got in.
    pub admitted: Vec<String>,
}

impl Target {
    /// A parent, found through the FLAME_PARENT of one of its runners.
    #[must_use]
    pub fn parent(document: FlameParent) -> Self {
        Self::Parent(Arc::new(document))
    }

    fn name(&self) -> &'static str {
        match self {
            Target::Parent(_) => "parent",
            Target::Relay(_) => "relay",
        }
    }

    /// The host and port.
    fn socket_address(&self) -> String {
        match self {
            Target::Parent(parent) => parent.addresses[0].trim_start_matches("ws://").to_owned(),
            Target::Relay(address) => address.to_string(),
        }
    }
}

impl Crowd {
    /// Lets all strangers connect, and waits until the last one has left.
    pub async fn arrive(self, mut random: StdRng) -> Visits {
        let mut clock = interval(Duration::from_secs(1) / self.per_second.max(1));
        // A stranger that is late is not made up for: the rate is the upper bound.
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connected = JoinSet::new();
        let mut visits = Visits::default();
        for _ in 0..self.strangers {
            for target in &self.targets {
                clock.tick().await;
                while connected.len() >= MAX_CONNECTED {
                    visits.add(connected.join_next().await);
                }
                while let Some(left) = connected.try_join_next() {
                    visits.add(Some(left));
                }
                let stranger = Stranger::random(&mut random);
                let (target, patience) = (target.clone(), self.patience);
                let random = StdRng::seed_from_u64(random.random());
                connected.spawn(async move {
                    let is_admitted = stranger.visit(&target, patience, random).await;
                    (format!("{} at the {}", stranger.name(), target.name()), is_admitted)
                });
            }
        }
        while let Some(left) = connected.join_next().await {
            visits.add(Some(left));
        }
        visits
    }
}

impl Visits {
    fn add(&mut self, left: Option<Result<(String, bool), tokio::task::JoinError>>) {
        let Some(left) = left else { return };
        let (name, is_admitted) = left.expect("a stranger does not panic");
        if is_admitted {
            self.admitted.push(name.clone());
        }
        *self.counts.entry(name).or_default() += 1;
    }
}

impl Stranger {
    fn random(random: &mut StdRng) -> Self {
        match random.random_range(0..4) {
            0 => Self::BadRef,
            1 => Self::BadKey,
            2 => Self::BadTls,
            _ => Self::SlowHandshake,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::BadRef => "bad ref",
            Self::BadKey => "bad key",
            Self::BadTls => "bad TLS",
            Self::SlowHandshake => "slow handshake",
        }
    }

    /// Connects, and tries to get in. Returns whether it got in.
    async fn visit(self, target: &Target, patience: Duration, mut random: StdRng) -> bool {
        let address = target.socket_address();
        match (self, target) {
            (Self::SlowHandshake, _) => {
                let request = upgrade(PARENT_PATH, "");
                let _ = timeout(patience, send_slowly(&address, &request)).await;
                false
            }
            (_, Target::Parent(parent)) => {
                timeout(ANSWER_TIMEOUT, self.visit_parent(parent, &mut random)).await == Ok(true)
            }
            (_, Target::Relay(_)) => {
                let request = self.request(&mut random);
                timeout(ANSWER_TIMEOUT, is_upgraded(&address, &request)).await == Ok(true)
            }
        }
    }

    async fn visit_parent(self, parent: &FlameParent, random: &mut StdRng) -> bool {
        let mut hello = impostor::hello(parent);
        hello.proof = Proof::BootToken(Token::from_bytes(random.random()));
        let mut fingerprint = parent.fingerprint;
        match self {
            Self::BadRef => hello.runner = RunnerRef::from_bytes(random.random()),
            Self::BadTls => fingerprint = Fingerprint(random.random()),
            Self::BadKey | Self::SlowHandshake => {}
        }
        let Ok(io) = dial(&parent.addresses[0], fingerprint).await else { return false };
        // With bad TLS, it has connected to a parent that it must not trust.
        let outcome = say_hello(io, &hello).await;
        self == Self::BadTls
            || matches!(outcome, Ok(HelloOutcome::Welcomed(..) | HelloOutcome::CodeOffered(_)))
    }

    /// The request that a stranger sends to a relay.
    fn request(self, random: &mut StdRng) -> Vec<u8> {
        match self {
            Self::BadRef => {
                let runner = RunnerRef::from_bytes(random.random());
                upgrade(&format!("{RUNNER_PATH}{runner}"), "")
            }
            Self::BadKey | Self::SlowHandshake => {
                let key = format!("Authorization: Bearer {:064x}\r\n", random.random::<u128>());
                upgrade(PARENT_PATH, &key)
            }
            Self::BadTls => {
                // The head of a ClientHello, and noise.
                let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
                hello.extend(random.random::<[u8; 32]>());
                hello.resize(517, 0);
                hello
            }
        }
    }
}

/// A request for a WebSocket.
fn upgrade(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// Sends a request, and returns whether the answer is a WebSocket.
async fn is_upgraded(address: &str, request: &[u8]) -> bool {
    let Ok(mut socket) = TcpStream::connect(address).await else { return false };
    // The server may close the connection before it has read everything.
    let _ = socket.write_all(request).await;
    let mut head = [0; "HTTP/1.1 101".len()];
    socket.read_exact(&mut head).await.is_ok() && head.ends_with(b"101")
}

async fn send_slowly(address: &str, request: &[u8]) {
    let Ok(mut socket) = TcpStream::connect(address).await else { return };
    // The last byte would complete the request.
    for byte in &request[..request.len() - 1] {
        if socket.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(SLOW_PAUSE).await;
    }
}
