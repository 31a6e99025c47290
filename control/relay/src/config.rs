//! The settings of a relay.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::Limits;
use crate::file::KeyFile;
use crate::keys::KeyTexts;
use crate::pair::PairLimits;
use crate::tls::TlsPaths;

pub mod args;
mod check;
mod duration;
mod log;

pub use check::BadSettings;
pub use log::{InvalidLogFormat, LogConfig, LogFormat};

/// The longest time that a relay waits for anything. A longer one could overflow a point in time.
const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The settings of a relay. A time longer than a week counts as a week. [`args`] reads them from
/// flags and environment.
#[derive(Debug)]
pub struct Config {
    /// Where the relay listens.
    pub listen: SocketAddr,
    /// Where the relay serves `/metrics` and its page, over plain HTTP. `None`: the metrics are served
    /// at `listen`, like every other path, and the page nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The address at which runners reach this node: `ws://host:port` or `wss://`. `None`: runners
    /// use the address that their parent uses.
    pub address: Option<String>,
    /// The keys of parents.
    pub keys: KeyTexts,
    /// The file from which the keys were read. It is read again when it changes.
    pub key_file: Option<KeyFile>,
    /// The files for TLS. `None`: the relay speaks plain HTTP.
    pub tls: Option<TlsPaths>,
    /// Whether the address of a client is the last one in `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
    /// The limits on connections.
    pub limits: Limits,
    /// The limits of each pair. The times also hold for control connections.
    pub pair: PairLimits,
    /// How many connections may be in their handshakes at a time.
    pub max_handshakes: usize,
    /// How long TLS and the head of the request may take, each.
    pub handshake_timeout: Duration,
    /// How long connections may stay open once the relay drains.
    pub drain_time: Duration,
}

impl Config {
    /// The defaults, for these keys and this address.
    #[must_use]
    pub fn new(listen: SocketAddr, keys: KeyTexts) -> Self {
        Self {
            listen,
            metrics_listen: None,
            address: None,
            keys,
            key_file: None,
            tls: None,
            trust_forwarded_for: false,
            limits: Limits {
                connections: 65_536,
                connections_per_address: 16_384,
                connections_per_key: 32_768,
                runners_per_parent: 10_000,
                pair_timeout: Duration::from_secs(8),
            },
            pair: PairLimits {
                write_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(10 * 60),
                ping_interval: Duration::from_secs(20),
                pong_timeout: Duration::from_secs(10),
                bytes_per_pair: 128 * 1024,
            },
            max_handshakes: 1024,
            handshake_timeout: Duration::from_secs(10),
            drain_time: Duration::from_secs(30),
        }
    }

    /// Shortens the times that are too long.
    pub(crate) fn bounded(mut self) -> Self {
        for time in [
            &mut self.limits.pair_timeout,
            &mut self.pair.write_timeout,
            &mut self.pair.idle_timeout,
            &mut self.pair.ping_interval,
            &mut self.pair.pong_timeout,
            &mut self.handshake_timeout,
            &mut self.drain_time,
        ] {
            *time = (*time).min(MAX_TIME);
        }
        self
    }
}
