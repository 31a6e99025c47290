//! The flags and variables of the `flame-relay` binary.
//!
//! Each flag is read as text first, so that all bad settings are reported at once.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::BoolishValueParser;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::check::{BadSettings, Check, at_least, byte_count, listen_address, own_address, parse};
use super::log::{LogConfig, LogFormat};
use super::{Config, duration};

/// The variable with the keys.
pub const KEYS_ENV: &str = "FLAME_RELAY_KEYS";

const KEYS_HELP: &str = "\
Keys:
  Parents authenticate with a key of at least 32 characters. Several keys may be valid at once:
  to rotate a key, add the new one, move the parents to it, and remove the old one.
  Set the environment variable FLAME_RELAY_KEYS (separated by commas), or --key-file.
  There is no flag for a key, because other users of the machine can read process arguments.

Paths:
  /healthz   200 while the process runs
  /readyz    200, or 503 while the relay is draining
  /metrics   metrics in the text format of Prometheus; with --metrics-listen, at that address only

  At the address of --metrics-listen only:
  /          a live page: parents, runners that wait, pairs, refusals, and how much of each limit is used
  /view.json the data of that page

Signals:
  SIGTERM or SIGINT starts to drain: new connections are refused, parents are told to connect
  elsewhere, and after --drain-time all connections are closed. A second signal exits at once.

Exit codes:
  0  the relay has drained
  1  it could not start, or a second signal came while it drained
  2  settings are wrong; all of them are named";

/// A relay for flame-aws: parents and runners that cannot reach each other meet here.
#[derive(Parser)]
#[command(name = "flame-relay", version, after_help = KEYS_HELP, next_line_help = false)]
pub struct Args {
    /// The address to listen on.
    #[arg(
        long,
        env = "FLAME_RELAY_LISTEN",
        default_value = "0.0.0.0:8443",
        value_name = "IP:PORT"
    )]
    listen: String,
    /// The address to serve /metrics and a live page on, over plain HTTP and without a key. Both show
    /// addresses of clients, so choose one that strangers can't reach. /metrics is then no longer
    /// served on the address of --listen. Without this flag there is no page.
    #[arg(long, env = "FLAME_RELAY_METRICS_LISTEN", value_name = "IP:PORT")]
    metrics_listen: Option<String>,
    /// The address at which runners reach this node, ws://host:port or wss://host:port. The default
    /// is the task's private address on ECS, and the address that the parent uses elsewhere.
    #[arg(long, env = "FLAME_RELAY_ADDRESS", value_name = "URL")]
    address: Option<String>,
    /// A file with keys, one on each line. It is read again when it changes.
    #[arg(long, env = "FLAME_RELAY_KEY_FILE", value_name = "FILE")]
    key_file: Option<String>,
    /// Not accepted.
    #[arg(long, hide = true, value_name = "KEY")]
    key: Option<String>,
    /// A certificate chain in PEM, for TLS. It is read again when it changes.
    #[arg(long, env = "FLAME_RELAY_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<String>,
    /// The private key of the certificate, in PEM.
    #[arg(long, env = "FLAME_RELAY_TLS_KEY", value_name = "FILE")]
    tls_key: Option<String>,
    /// Take the address of a client from the last entry of X-Forwarded-For. Use this only behind a
    /// load balancer that sets the header: otherwise clients can forge it.
    #[arg(
        long,
        env = "FLAME_RELAY_TRUST_FORWARDED_FOR",
        value_parser = BoolishValueParser::new()
    )]
    trust_forwarded_for: bool,
    /// The maximum number of connections.
    #[arg(long, env = "FLAME_RELAY_MAX_CONNECTIONS", default_value = "65536", value_name = "N")]
    max_connections: String,
    /// The maximum number of connections from one address (IPv6: from one /64 network).
    #[arg(
        long,
        env = "FLAME_RELAY_MAX_CONNECTIONS_PER_ADDRESS",
        default_value = "16384",
        value_name = "N"
    )]
    max_connections_per_address: String,
    /// The maximum number of connections with one key, including the runners of its parents.
    #[arg(
        long,
        env = "FLAME_RELAY_MAX_CONNECTIONS_PER_KEY",
        default_value = "32768",
        value_name = "N"
    )]
    max_connections_per_key: String,
    /// The maximum number of runners that one parent may register.
    #[arg(
        long,
        env = "FLAME_RELAY_MAX_RUNNERS_PER_PARENT",
        default_value = "10000",
        value_name = "N"
    )]
    max_runners_per_parent: String,
    /// The maximum number of connections that have not sent their request yet. A new one replaces
    /// the oldest.
    #[arg(long, env = "FLAME_RELAY_MAX_HANDSHAKES", default_value = "1024", value_name = "N")]
    max_handshakes: String,
    /// The maximum number of bytes that are buffered for a runner and its parent together.
    #[arg(
        long,
        env = "FLAME_RELAY_BYTES_PER_PAIR",
        default_value = "131072",
        value_name = "BYTES"
    )]
    bytes_per_pair: String,
    /// How long TLS and the head of a request may take, each.
    #[arg(long, env = "FLAME_RELAY_HANDSHAKE_TIMEOUT", default_value = "10s", value_name = "TIME")]
    handshake_timeout: String,
    /// How long a runner waits for its parent's socket. A runner gives up after 10 s.
    #[arg(long, env = "FLAME_RELAY_PAIR_TIMEOUT", default_value = "8s", value_name = "TIME")]
    pair_timeout: String,
    /// A runner and its parent are disconnected if no message passes for this long.
    #[arg(long, env = "FLAME_RELAY_IDLE_TIMEOUT", default_value = "10m", value_name = "TIME")]
    idle_timeout: String,
    /// A connection that is silent for this long is pinged.
    #[arg(long, env = "FLAME_RELAY_PING_INTERVAL", default_value = "20s", value_name = "TIME")]
    ping_interval: String,
    /// How long the answer to a ping may take.
    #[arg(long, env = "FLAME_RELAY_PONG_TIMEOUT", default_value = "10s", value_name = "TIME")]
    pong_timeout: String,
    /// How long a client may take to read what is sent to it.
    #[arg(long, env = "FLAME_RELAY_WRITE_TIMEOUT", default_value = "30s", value_name = "TIME")]
    write_timeout: String,
    /// How long connections may stay open after a SIGTERM.
    #[arg(long, env = "FLAME_RELAY_DRAIN_TIME", default_value = "30s", value_name = "TIME")]
    drain_time: String,
    /// How log records look: text or json.
    #[arg(long, env = "FLAME_RELAY_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: String,
    /// The least important records that are logged: error, warn, info, debug or trace.
    #[arg(long, env = "FLAME_RELAY_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

impl Args {
    /// The settings, or everything that is wrong with them. `keys` is the value of [`KEYS_ENV`].
    ///
    /// # Errors
    /// [`BadSettings`].
    pub fn check(
        self,
        keys: Option<Zeroizing<String>>,
    ) -> Result<(Config, LogConfig), BadSettings> {
        let mut check = Check::default();
        if self.key.map(Zeroizing::new).is_some() {
            check.bad("--key", format!(
                "other users can read process arguments; use {KEYS_ENV} or --key-file, and replace \
                 this key"
            ));
        }
        let log = LogConfig {
            format: check.value("--log-format", &self.log_format, LogFormat::Text, parse),
            level: check.value("--log-level", &self.log_level, LevelFilter::INFO, parse),
        };
        let (keys, key_file) = check.keys(keys, path(self.key_file));
        let mut config = Config::new(([0, 0, 0, 0], 0).into(), keys);
        config.key_file = key_file;
        config.listen = check.value("--listen", &self.listen, config.listen, listen_address);
        let is_set = |text: &String| !text.is_empty();
        config.metrics_listen = self
            .metrics_listen
            .filter(is_set)
            .map(|text| check.value("--metrics-listen", &text, config.listen, listen_address));
        let address = self.address.filter(is_set);
        config.address =
            address.map(|text| check.value("--address", &text, String::new(), own_address));
        config.tls = check.tls(path(self.tls_cert), path(self.tls_key));
        config.trust_forwarded_for = self.trust_forwarded_for;
        let (limits, pair) = (&mut config.limits, &mut config.pair);
        for (flag, text, limit) in [
            ("--max-connections", &self.max_connections, &mut limits.connections),
            (
                "--max-connections-per-address",
                &self.max_connections_per_address,
                &mut limits.connections_per_address,
            ),
            (
                "--max-connections-per-key",
                &self.max_connections_per_key,
                &mut limits.connections_per_key,
            ),
            ("--max-handshakes", &self.max_handshakes, &mut config.max_handshakes),
        ] {
            *limit = check.value(flag, text, 0, at_least(1));
        }
        limits.runners_per_parent =
            check.value("--max-runners-per-parent", &self.max_runners_per_parent, 0, at_least(1));
        pair.bytes_per_pair = check.value("--bytes-per-pair", &self.bytes_per_pair, 0, byte_count);
        for (flag, text, time) in [
            ("--handshake-timeout", &self.handshake_timeout, &mut config.handshake_timeout),
            ("--pair-timeout", &self.pair_timeout, &mut limits.pair_timeout),
            ("--idle-timeout", &self.idle_timeout, &mut pair.idle_timeout),
            ("--ping-interval", &self.ping_interval, &mut pair.ping_interval),
            ("--pong-timeout", &self.pong_timeout, &mut pair.pong_timeout),
            ("--write-timeout", &self.write_timeout, &mut pair.write_timeout),
            ("--drain-time", &self.drain_time, &mut config.drain_time),
        ] {
            *time = check.value(flag, text, *time, duration::parse);
        }
        check.finish()?;
        Ok((config, log))
    }
}

/// The path in a setting. A variable that is empty counts as not set, as deployments write it.
fn path(text: Option<String>) -> Option<PathBuf> {
    text.filter(|text| !text.is_empty()).map(PathBuf::from)
}
