//! The options of the connections between a pool and its runners.

use std::net::SocketAddr;
use std::time::Duration;

use super::PoolBuilder;
use crate::relay::Relay;

impl PoolBuilder {
    /// How long a runner whose connection is lost may take to reconnect. After that the runner is
    /// lost, and its calls get [`RunnerLost`](crate::CallError::RunnerLost). Default 60 s, or twice
    /// [`keepalive_timeout`](Self::keepalive_timeout) if that is longer.
    ///
    /// Must be at least `keepalive_timeout` plus half of it, or plus 10 s if half of it is longer
    /// than that. If only one side sees a connection break, the other side notices after
    /// `keepalive_timeout`, and only then does the runner reconnect. [`start`](Self::start) rejects
    /// a shorter time, with which such a break would lose calls.
    pub fn reconnect_timeout(mut self, reconnect_timeout: Duration) -> Self {
        self.reconnect_timeout = Some(reconnect_timeout);
        self
    }

    /// How long a connection may be silent before it counts as lost. Each side pings the other
    /// every third of that time. At least 10 ms. Default 30 s, or half of
    /// [`reconnect_timeout`](Self::reconnect_timeout) if that is shorter.
    pub fn keepalive_timeout(mut self, keepalive_timeout: Duration) -> Self {
        self.keepalive_timeout = Some(keepalive_timeout);
        self
    }

    /// The address on which the pool listens for runners. Default 127.0.0.1 and a free port.
    ///
    /// Runners on other machines need an address that they can reach, such as `0.0.0.0:4100`. If they
    /// can't connect to this machine at all, use a [`relay`](Self::relay).
    ///
    /// Pools of one process, on one runtime, share a port if they have the same address: so an app
    /// with several pools needs one open port. The port is closed when the last of them has ended.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// The address that runners connect to, if it differs from the address of
    /// [`listen`](Self::listen): `ws://host:port`, or `wss://host` if a load balancer terminates
    /// TLS in front of the pool. At most 384 bytes. An address with a path is used as it is; the
    /// pool itself serves only `/flame/v1`, which is the default.
    ///
    /// With `wss://`, the runner checks the load balancer's certificate against the certificates
    /// that its system trusts. Default: the listener's address. If the pool listens on all
    /// addresses of the machine, it is the address that the backend finds
    /// ([`Backend::address`](crate::backend::Backend::address)).
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The relay through which runners connect, in place of [`listen`](Self::listen).
    ///
    /// With a relay, the parent listens nowhere: it connects to the relay, and so does each runner.
    /// Use it for a parent that runners can't reach, such as a laptop, and for runners in another
    /// network. Parent and runners are still encrypted and authenticated end to end, and the relay
    /// can't read what it forwards. Pools of one process, on one runtime, with the same relay share
    /// its connection.
    ///
    /// If neither `relay` nor `listen` nor [`advertise`](Self::advertise) is called, and the
    /// environment has the variable `FLAME_RELAY_URL`, the pool uses the relays that it names (up
    /// to three URLs, separated by commas), with the key in `FLAME_RELAY_KEY`.
    ///
    /// [`start`](Self::start) waits until a relay is connected, for 10 s at most. If the connection
    /// is lost later, the parent connects again.
    ///
    /// ```no_run
    /// use flame_aws::{Pool, Relay};
    ///
    /// # async fn example(key: String) -> Result<(), flame_aws::PoolError> {
    /// let relay = Relay::new("wss://relay.example.com").key(key);
    /// let pool = Pool::builder("thumbs").relay(relay).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn relay(mut self, relay: Relay) -> Self {
        self.relay = Some(relay);
        self
    }
}
