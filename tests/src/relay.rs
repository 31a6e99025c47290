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

    /// Where the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the relay.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The option for a pool.
    #[must_use]
    pub fn option(&self) -> Relay {
        Relay::new(self.url()).key(KEY)
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
    SHARED.get_or_init(TestRelay::start)
}
