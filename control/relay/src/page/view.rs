//! The data of the page.
//!
//! A view contains no key, no ticket and no payload. Of a runner's ref it has the first 8 of 32
//! digits: enough to find the runner in a log, and useless to somebody who wants to connect as it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flame_wire::ids::RunnerRef;
use flame_wire::time::millis;
use serde::Serialize;

use crate::config::Config;
use crate::core::{ParentRow, Rows, Snapshot, WaitingRow};
use crate::pair::{OpenPair, Peer};
use crate::totals::{Reasons, Totals};

/// The characters of a runner's ref that are shown: `f-` and 8 digits.
const SHORT_REF: usize = 10;

/// Where the numbers of a view come from.
pub(crate) struct Reading<'a> {
    pub(crate) clock: WallClock,
    pub(crate) config: &'a Config,
    /// Identifies the process.
    pub(crate) node: &'a str,
    /// How many keys are valid.
    pub(crate) keys: usize,
    pub(crate) snapshot: Snapshot,
    pub(crate) pairs: Rows<Arc<OpenPair>>,
    pub(crate) handshakes: usize,
    pub(crate) totals: &'a Totals,
    pub(crate) drain_ends: Option<Instant>,
}

/// Tells the time of the wall clock for points in time since the relay's start. Two views show the
/// same time for the same point, even if somebody has set the clock in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    origin: Instant,
    unix: Duration,
}

/// What the page shows at one moment, except for the time. Times are Unix times in milliseconds, and
/// sizes are bytes.
#[derive(Serialize, PartialEq, Debug)]
pub(crate) struct View {
    node: String,
    version: &'static str,
    /// The address that the node tells its parents.
    address: Option<String>,
    tls: bool,
    started: u64,
    keys: usize,
    draining: bool,
    drain_ends: Option<u64>,
    registered: usize,
    connections: usize,
    limits: [LimitView; 5],
    parents: Table<ParentView>,
    waiting: Table<WaitingView>,
    pairs: Table<PairView>,
    /// Pairs since the relay's start.
    paired: u64,
    to_parents: u64,
    to_runners: u64,
    refusals: Vec<CountView>,
    pairs_ended: Vec<CountView>,
    handshakes_failed: Vec<CountView>,
}

#[derive(Serialize, PartialEq, Debug)]
struct Table<T> {
    rows: Vec<T>,
    /// How many rows there are that are not shown.
    more: usize,
}

#[derive(Serialize, PartialEq, Debug)]
struct LimitView {
    name: &'static str,
    flag: &'static str,
    used: usize,
    max: usize,
    /// The client that has used the most of it.
    by: Option<String>,
}

#[derive(Serialize, PartialEq, Debug)]
struct ParentView {
    id: u64,
    address: IpAddr,
    /// The number of its key, in the order in which the relay has read them.
    key: u32,
    registered: usize,
    since: u64,
}

#[derive(Serialize, PartialEq, Debug)]
struct WaitingView {
    id: u64,
    runner: String,
    address: IpAddr,
    parent: Option<IpAddr>,
    since: u64,
    until: u64,
}

#[derive(Serialize, PartialEq, Debug)]
struct PairView {
    id: u64,
    runner: String,
    address: IpAddr,
    parent: IpAddr,
    since: u64,
    to_parent: u64,
    to_runner: u64,
    last_message: u64,
}

#[derive(Serialize, PartialEq, Debug)]
struct CountView {
    reason: &'static str,
    count: u64,
}

impl WallClock {
    #[expect(clippy::disallowed_methods, reason = "people read the time of the wall clock")]
    pub(crate) fn start(now: Instant) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: now, unix }
    }

    /// The Unix time in milliseconds. For a point before the relay's start, that of the start.
    pub(crate) fn at(&self, then: Instant) -> u64 {
        millis(self.unix.saturating_add(then.saturating_duration_since(self.origin)))
    }
}

impl View {
    pub(crate) fn of(reading: Reading<'_>) -> Self {
        let Reading { clock, config, snapshot, totals, handshakes, .. } = reading;
        Self {
            node: reading.node.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            address: config.address.clone(),
            tls: config.tls.is_some(),
            started: clock.at(clock.origin),
            keys: reading.keys,
            draining: snapshot.draining,
            drain_ends: reading.drain_ends.map(|ends| clock.at(ends)),
            registered: snapshot.registered,
            connections: snapshot.connections,
            limits: limits(config, &snapshot, handshakes),
            parents: Table::of(snapshot.parents, |row| ParentView::of(row, clock)),
            waiting: Table::of(snapshot.waiting, |row| WaitingView::of(row, clock)),
            pairs: Table::of(reading.pairs, |pair| PairView::of(&pair, clock)),
            paired: totals.pairs.load(Ordering::Relaxed),
            to_parents: totals.bytes.to(Peer::Parent),
            to_runners: totals.bytes.to(Peer::Runner),
            refusals: counts(&totals.refusals),
            pairs_ended: counts(&totals.pairs_ended),
            handshakes_failed: counts(&totals.handshakes_failed),
        }
    }
}

impl<T> Table<T> {
    fn of<R>(Rows { rows, total }: Rows<R>, show: impl FnMut(R) -> T) -> Self {
        let more = total.saturating_sub(rows.len());
        Self { rows: rows.into_iter().map(show).collect(), more }
    }
}

impl ParentView {
    fn of(row: ParentRow, clock: WallClock) -> Self {
        Self {
            id: row.id.0,
            address: row.address,
            key: row.key.0,
            registered: row.registered,
            since: clock.at(row.since),
        }
    }
}

impl WaitingView {
    fn of(row: WaitingRow, clock: WallClock) -> Self {
        Self {
            id: row.id.0,
            runner: short(row.runner),
            address: row.address,
            parent: row.parent,
            since: clock.at(row.since),
            until: clock.at(row.until),
        }
    }
}

impl PairView {
    fn of(pair: &OpenPair, clock: WallClock) -> Self {
        Self {
            id: pair.ends.id.0,
            runner: short(pair.ends.runner),
            address: pair.ends.runner_address,
            parent: pair.ends.parent_address,
            since: clock.at(pair.since.into_std()),
            to_parent: pair.traffic.to(Peer::Parent),
            to_runner: pair.traffic.to(Peer::Runner),
            last_message: clock.at(pair.last_message().into_std()),
        }
    }
}

fn limits(config: &Config, snapshot: &Snapshot, handshakes: usize) -> [LimitView; 5] {
    let limits = &config.limits;
    let limit = |name, flag, (by, used): (Option<String>, usize), max| LimitView {
        name,
        flag,
        used,
        max,
        by,
    };
    [
        limit("Connections", "--max-connections", (None, snapshot.connections), limits.connections),
        limit(
            "Connections from one address",
            "--max-connections-per-address",
            most(snapshot.most_per_address.map(|(address, count)| (network(address), count))),
            limits.connections_per_address,
        ),
        limit(
            "Connections with one key",
            "--max-connections-per-key",
            most(snapshot.most_per_key.map(|(key, count)| (format!("key {}", key.0), count))),
            limits.connections_per_key,
        ),
        limit(
            "Runners of one parent",
            "--max-runners-per-parent",
            most(snapshot.most_per_parent.map(|(address, count)| (address.to_string(), count))),
            limits.runners_per_parent as usize,
        ),
        limit("Handshakes", "--max-handshakes", (None, handshakes), config.max_handshakes),
    ]
}

fn most(most: Option<(String, usize)>) -> (Option<String>, usize) {
    most.map_or((None, 0), |(by, used)| (Some(by), used))
}

/// The addresses that count as one.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

fn counts(reasons: &Reasons) -> Vec<CountView> {
    let all = reasons.all().into_iter();
    all.map(|(reason, count)| CountView { reason, count }).collect()
}

/// The beginning of a runner's ref.
fn short(runner: RunnerRef) -> String {
    runner.to_string().chars().take(SHORT_REF).collect()
}

#[cfg(test)]
mod tests;
