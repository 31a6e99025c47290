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

/// How long a relay may take to close its connections after its drain time, on a busy machine. The
/// relay itself gives up a connection after 5 s.
const TIME_TO_CLOSE: Duration = Duration::from_secs(10);

/// A relay that runs until it is dropped.
pub struct TestRelay {
    address: SocketAddr,
    /// Where the relay's page is, if it has one.
    page: Option<SocketAddr>,
    drain_time: Duration,
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
        let drain_time = config.drain_time;
        let (running, stopped) = oneshot::channel::<()>();
        let (started, start) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = crate::runtime();
            runtime.block_on(async {
                let relay = flame_relay::Relay::bind(config).await.expect("the port is free");
                let address = relay.local_address().expect("the relay listens");
                let page = relay.metrics_address().transpose().expect("the relay listens");
                let _ = started.send((address, page, relay.stopper()));
                tokio::select! {
                    () = relay.run() => {}
                    _ = stopped => {}
                }
            });
            // Drops all connections at once, as the end of a process does.
            runtime.shutdown_timeout(Duration::from_secs(10));
        });
        let (address, page, stopper) = start.recv().expect("the relay starts");
        Self { address, page, drain_time, stopper, running: Some(running), thread: Some(thread) }
    }

    /// Starts a relay with a page, and with changes to the default settings.
    #[must_use]
    pub fn with_page(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), |config| {
            config.metrics_listen = Some((Ipv4Addr::LOCALHOST, 0).into());
            change(config);
        })
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

    /// The address of the relay's page, with a path that begins with a slash.
    ///
    /// # Panics
    /// Panics if the relay has no page.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.page.expect("this relay has a page"))
    }

    /// The value of this series of the relay's metrics, which is 0 if there is no such series. It can
    /// be read after the relay has ended, too.
    ///
    /// # Panics
    /// Panics if the value is no number.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.stopper.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until a relay that drains has ended. A relay that keeps its connections fails the test
    /// soon after its drain time is over.
    ///
    /// # Panics
    /// Panics if the relay does not end.
    pub async fn ended(&self) {
        let waiting = async {
            while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(self.drain_time + TIME_TO_CLOSE, waiting).await;
        waited.unwrap_or_else(|_| {
            let metrics = self.stopper.metrics();
            let open = metrics.lines().filter(|line| line.starts_with("flame_relay_connections{"));
            panic!(
                "the drain time of {:?} was over {TIME_TO_CLOSE:?} ago, and the relay keeps these \
                 connections: {:?}",
                self.drain_time,
                open.collect::<Vec<_>>()
            )
        });
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
