//! Relays in this process, each on a runtime of its own, so that one can serve the pools of several
//! tests and can be stopped without warning.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use flame_aws::Relay;
use flame_relay::Stopper;
use flame_relay::config::Config;
use flame_relay::keys::KeyTexts;
use tokio::sync::oneshot;

use crate::emulator::advertised;
use crate::proxy::Proxy;

pub mod program;

/// The key of every [`TestRelay`].
pub const KEY: &str = "the-key-of-the-relays-of-these-tests";

/// A relay that runs until it is dropped.
pub struct TestRelay {
    address: SocketAddr,
    stopper: Stopper,
    /// Dropped to stop the relay.
    running: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl std::fmt::Debug for TestRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestRelay").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TestRelay {
    /// Starts a relay on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), |_| {})
    }

    /// Starts a relay, with changes to the default settings.
    ///
    /// # Panics
    /// Panics if the relay can't listen there.
    #[must_use]
    pub fn start_at(listen: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(listen, KeyTexts::parse(KEY).expect("the key is valid"));
        change(&mut config);
        let (running, stopped) = oneshot::channel::<()>();
        let (started, start) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = crate::runtime();
            runtime.block_on(async {
                let relay = flame_relay::Relay::bind(config).await.expect("the port is free");
                let address = relay.local_address().expect("the relay listens");
                let _ = started.send((address, relay.stopper()));
                tokio::select! {
                    () = relay.run() => {}
                    _ = stopped => {}
                }
            });
            // Drops all connections at once, as the end of a process does.
            runtime.shutdown_timeout(Duration::from_secs(10));
        });
        let (address, stopper) = start.recv().expect("the relay starts");
        Self { address, stopper, running: Some(running), thread: Some(thread) }
    }

    /// Starts a relay whose node is reached through a proxy. Its URL leads to the relay itself.
    pub async fn start_behind_proxy(seed: u64) -> (Self, Proxy) {
        // The proxy has to exist before the relay that tells its address, so this takes the port
        // of a relay that has ended.
        let address = Self::start().address();
        let proxy = Proxy::start(address, seed).await;
        let relay = Self::start_at(address, |config| config.address = Some(proxy.address()));
        (relay, proxy)
    }

    /// The address on which the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the relay.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// The option for a pool.
    #[must_use]
    pub fn option(&self) -> Relay {
        Relay::new(self.url()).key(KEY)
    }

    /// The variables that stand for the [`option`](Self::option) in another process.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("FLAME_RELAY_URL", self.url()), ("FLAME_RELAY_KEY", KEY.to_owned())]
    }

    /// The value of this series of the relay's metrics.
    pub async fn metric(&self, series: &str) -> f64 {
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let text = client.get(format!("http://{}/metrics", self.address)).send().await;
        let text = text.expect("the relay answers").text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).expect("the relay has this metric")
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.stopper.drain();
    }
}

impl Drop for TestRelay {
    /// Stops the relay without warning, and waits until its port is free.
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The relay that the tests of this suite share.
pub fn shared() -> &'static TestRelay {
    static SHARED: OnceLock<TestRelay> = OnceLock::new();
    SHARED.get_or_init(|| match advertised() {
        None => TestRelay::start(),
        Some((port, address)) => {
            TestRelay::start_at((Ipv4Addr::UNSPECIFIED, port).into(), |config| {
                config.address = Some(address);
            })
        }
    })
}

/// The URL at which this machine reaches a relay that listens at this address.
fn url(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        format!("ws://{}:{}", Ipv4Addr::LOCALHOST, listen.port())
    } else {
        format!("ws://{listen}")
    }
}
