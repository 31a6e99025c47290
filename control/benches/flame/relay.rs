//! The relay as a process of its own: this executable with the library of `flame-relay`, on the
//! runtime of the `flame-relay` program.

use std::net::SocketAddr;

use flame_aws::Relay;
use flame_relay::config::Config;
use flame_relay::keys::KeyTexts;
use flame_relay::open_files;
use tokio::runtime::Builder;

use crate::process::{ChildProcess, exit_when_abandoned};

pub(crate) mod hop;
pub(crate) mod pairs;

mod clients;
mod runners;

pub(crate) use runners::RawRunners;

/// The key of every parent of the benchmark.
const KEY: &str = "the-key-of-the-parents-of-the-benchmark";

/// The arguments of a relay process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RelayRole {
    /// The address that parents and runners are told to use. Without one, they use the relay's own.
    announced: Option<String>,
}

impl RelayRole {
    /// Serves until the process that started this one is gone.
    pub(crate) fn run(self) {
        exit_when_abandoned();
        let limit = open_files::raise_limit();
        let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let keys = KeyTexts::parse(KEY).expect("a valid key");
            let mut config = Config::new(([127, 0, 0, 1], 0).into(), keys);
            config.address = self.announced;
            // All clients of the benchmark have the same address.
            config.limits.connections_per_address = config.limits.connections;
            let relay = flame_relay::Relay::bind(config).await.expect("a port to listen on");
            let address = relay.local_address().expect("the relay's address");
            println!("{address} {}", limit.unwrap_or(u64::MAX));
            relay.run().await;
        });
    }

    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            [] => Ok(Self { announced: None }),
            [announced] => Ok(Self { announced: Some((*announced).to_owned()) }),
            _ => Err("a relay has at most one argument, its address".to_owned()),
        }
    }
}

/// A running relay. It is killed when it is dropped.
pub(crate) struct RelayProcess {
    process: ChildProcess,
    pub(crate) address: SocketAddr,
    /// How many files the process may open.
    max_files: u64,
}

impl RelayProcess {
    pub(crate) async fn start() -> Self {
        Self::start_with(&["relay"]).await
    }

    /// Starts a relay that tells its clients to connect at another address, which leads to it.
    pub(crate) async fn start_announcing(announced: SocketAddr) -> Self {
        Self::start_with(&["relay", &format!("ws://{announced}")]).await
    }

    async fn start_with(role: &[&str]) -> Self {
        let mut process = ChildProcess::start(role);
        let line = process.line().await;
        let (address, max_files) = line.split_once(' ').expect("the relay's address and limit");
        let address = address.parse().expect("the relay's address");
        let max_files = max_files.parse().expect("the relay's limit");
        Self { process, address, max_files }
    }

    /// The option for a pool.
    pub(crate) fn option(&self) -> Relay {
        Relay::new(format!("ws://{}", self.address)).key(KEY)
    }

    /// The memory of the process that is in RAM, in bytes, if the system tells it.
    fn resident_bytes(&self) -> Option<u64> {
        let status = format!("/proc/{}/status", self.process.id()?);
        let status = std::fs::read_to_string(status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }
}
