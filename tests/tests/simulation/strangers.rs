//! The process of the strangers: clients that have no valid ref, key or TLS, or never finish their
//! request, connect to the parent or to its relays. None of them may get in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_link::{dial, dial_relay};
use flame_wire::ids::RunnerRef;
use flame_wire::parent::Fingerprint;
use flame_wire::relay::PARENT_PATH;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::calls::CallLedger;
use crate::network::{HostNetwork, Time};
use crate::relays;
use crate::scenario::Scenario;
use crate::simulation::{PARENT, PARENT_PORT};

/// How many strangers are connected at a time.
const STRANGERS: u64 = 3;
/// The longest pause between two visits of a stranger.
const PAUSE_MS: u64 = 20_000;
/// How long a stranger stays at most.
const PATIENCE: Duration = Duration::from_secs(40);

/// A stranger that visits again and again.
struct Stranger {
    random: StdRng,
    network: HostNetwork,
    ledger: Arc<CallLedger>,
    targets: Vec<SocketAddr>,
    has_tls: bool,
}

/// The `main` of the strangers. They leave when no more calls are made.
pub(crate) async fn run(scenario: Scenario, ledger: Arc<CallLedger>, network: HostNetwork) {
    let targets: Vec<_> = match scenario.relays {
        0 => vec![SocketAddr::new(PARENT, PARENT_PORT)],
        relays => (0..relays).map(relays::socket_address).collect(),
    };
    let strangers = (0..STRANGERS).map(|number| Stranger {
        random: StdRng::seed_from_u64(scenario.seed ^ (0x5746 + number)),
        network: network.clone(),
        ledger: ledger.clone(),
        targets: targets.clone(),
        has_tls: scenario.has_tls,
    });
    join_all(strangers.map(|stranger| stranger.visit_until(scenario.time))).await;
}

impl Stranger {
    async fn visit_until(mut self, end: Time) {
        while self.network.clock.now() < end {
            sleep(Duration::from_millis(self.random.random_range(0..PAUSE_MS))).await;
            let target = self.targets[self.random.random_range(0..self.targets.len())];
            // Whatever the network does to it, a stranger gives up after a while.
            let admitted = timeout(PATIENCE, self.visit(target)).await;
            if let Ok(Some(how)) = admitted {
                self.ledger.violation(format!("a stranger with {how} was admitted at {target}"));
            }
        }
    }

    /// Returns how the stranger got in, if it did.
    async fn visit(&mut self, target: SocketAddr) -> Option<&'static str> {
        let to_relay = target.ip() != PARENT;
        let url = relays::url_of(target, to_relay && self.has_tls);
        let fingerprint = Fingerprint(self.random.random());
        match self.random.random_range(0..4) {
            0 if to_relay => {
                let runner = RunnerRef::from_bytes(self.random.random());
                let address = relays::runner_address(&url, runner);
                dial(&address, fingerprint).await.is_ok().then_some("an unknown ref")
            }
            0 => dial(&url, fingerprint).await.is_ok().then_some("another key of the parent"),
            1 if to_relay => {
                let key = format!("{:032x}", self.random.random::<u128>());
                dial_relay(&url, PARENT_PATH, &key).await.is_ok().then_some("a wrong key")
            }
            kind => {
                let garbage = self.random.random_range(1..20_000_usize);
                let request = match kind {
                    1 => vec![0xff; garbage],
                    2 => b"GET /flame/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgr".to_vec(),
                    _ => Vec::new(),
                };
                self.send_and_stay(target, &request).await;
                None
            }
        }
    }

    /// Sends bytes that are no request, and waits until the server disconnects.
    async fn send_and_stay(&self, target: SocketAddr, bytes: &[u8]) {
        let Ok(mut socket) = self.network.open(target).await else { return };
        let _ = socket.write_all(bytes).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
}
