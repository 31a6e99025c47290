//! The scenario of a seed: the network, the pool, and the kinds of faults.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::network::NetworkConfig;
use crate::relays;

/// One simulation.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// The number of relays, less than [`relays::MAX`]; 0: runners connect to the parent.
    pub(crate) relays: u8,
    pub(crate) faults: FaultPlan,
    pub(crate) network: NetworkConfig,
    pub(crate) max_runners: u32,
    pub(crate) max_concurrency: u32,
    pub(crate) idle: Duration,
    /// `keepalive_timeout` of the pool. `reconnect_timeout` is twice as long.
    pub(crate) keepalive: Duration,
    pub(crate) boot_timeout: Duration,
    pub(crate) callers: u32,
    /// How long calls are made and faults happen.
    pub(crate) time: Duration,
    /// The longest pause between two faults.
    pub(crate) fault_pause: Duration,
    pub(crate) end: End,
    /// Clients connect that may not get in.
    pub(crate) has_strangers: bool,
    /// The relays have a certificate, and their addresses begin with `wss://`.
    pub(crate) has_tls: bool,
}

/// How a simulation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The pool answers another call, and drains.
    Drain,
    /// The parent is killed. Its runners must end by themselves.
    ParentIsKilled,
    /// The parent's machine is lost.
    ParentIsSwitchedOff,
}

/// Which faults happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultPlan {
    /// One at a time, and none that a runner can't survive: each call must get its result.
    Survivable,
    /// All kinds at any time: calls may fail, but their errors must be true.
    Any,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let latency = [10, 20, 40, 80][random.random_range(0..4)];
        let network = NetworkConfig {
            latency: Duration::from_millis(latency),
            spread: random.random_range(1..4),
            jitter: Duration::from_millis(random.random_range(0..2 * latency)),
            cell_time: Duration::from_micros([10, 100, 1_000][random.random_range(0..3)]),
            window: [32, 128, 512][random.random_range(0..3)] * 1024,
        };
        let faults = if random.random_ratio(1, 3) { FaultPlan::Survivable } else { FaultPlan::Any };
        let keepalive = match faults {
            FaultPlan::Survivable => 30,
            FaultPlan::Any => [9, 30][random.random_range(0..2)],
        };
        Self {
            seed,
            relays: random.random_range(0..relays::MAX),
            faults,
            network,
            max_runners: random.random_range(1..6),
            max_concurrency: random.random_range(1..6),
            idle: Duration::from_secs([1, 30, 300][random.random_range(0..3)]),
            keepalive: Duration::from_secs(keepalive),
            // A parent needs 15 s to notice that its connection to a relay is lost.
            boot_timeout: Duration::from_secs(30),
            callers: random.random_range(4..12),
            time: Duration::from_secs(match faults {
                FaultPlan::Survivable => 1_500,
                FaultPlan::Any => 600,
            }),
            fault_pause: Duration::from_secs([4, 20, 60][random.random_range(0..3)]),
            end: match random.random_range(0..8) {
                0 => End::ParentIsKilled,
                1 => End::ParentIsSwitchedOff,
                _ => End::Drain,
            },
            has_strangers: random.random(),
            has_tls: random.random(),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} relays{}, {:?} faults, up to {} runners with {} slots, {} callers, {}, {:?}",
            self.seed,
            self.relays,
            if self.has_tls { " with TLS" } else { "" },
            self.faults,
            self.max_runners,
            self.max_concurrency,
            self.callers,
            if self.has_strangers { "strangers" } else { "no strangers" },
            self.end
        )
    }
}
