//! The pools whose metrics are collected.
//!
//! A pool registers when it starts. Each collector has an inbox, so that it learns even of a pool
//! that starts and ends between two of its readings, and reads each pool once more after its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use flame_wire::parent::HostKind;
use flame_wire::sync::Mutex;

use super::reading::{Reading, Readings};
use super::recorders::LaneRecorder;
use crate::pool::PoolInner;
use crate::pool::lane::Lane;

/// A pool whose metrics are collected. Does not keep the pool alive.
pub(crate) struct MeteredPool {
    /// Unique within this process.
    id: u64,
    name: String,
    lanes: Vec<MeteredLane>,
}

struct MeteredLane {
    backend: HostKind,
    recorder: Arc<LaneRecorder>,
    lane: Weak<Lane>,
}

/// The metrics of one backend of a pool, or of the process, at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SourceReadings {
    /// The backend of a pool, or the process, that the readings belong to.
    pub source: Source,
    /// One reading of each series.
    pub readings: Vec<Reading>,
}

/// The backend of a pool, or the process, that a reading belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// One backend of a pool.
    #[non_exhaustive]
    Pool {
        /// Tells pools of the same name apart, within this process.
        id: u64,
        /// The pool's name.
        pool: String,
        /// The kind of the backend.
        backend: HostKind,
        /// Whether it is the pool's burst backend.
        burst: bool,
    },
    /// The process.
    Process,
}

/// The pools of this process, and the inboxes of the collectors.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { pools: Vec::new(), inboxes: Vec::new() });

struct Registry {
    /// Emptied of pools that are gone whenever a pool registers.
    pools: Vec<Arc<MeteredPool>>,
    inboxes: Vec<Weak<Inbox>>,
}

type Inbox = Mutex<Vec<Arc<MeteredPool>>>;

impl MeteredPool {
    pub(crate) fn new(pool: &PoolInner) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let lanes = pool.lanes().map(|lane| MeteredLane {
            backend: lane.backend.kind(),
            recorder: lane.recorder.clone(),
            lane: Arc::downgrade(lane),
        });
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: pool.name().to_owned(),
            lanes: lanes.collect(),
        }
    }

    /// From now on, all collectors read the pool.
    pub(crate) fn register(self) {
        let pool = Arc::new(self);
        let mut registry = REGISTRY.lock();
        registry.pools.retain(|pool| !pool.is_gone());
        registry.inboxes.retain(|inbox| match inbox.upgrade() {
            Some(inbox) => {
                inbox.lock().push(pool.clone());
                true
            }
            None => false,
        });
        registry.pools.push(pool);
    }

    /// Whether nothing more will be recorded.
    fn is_gone(&self) -> bool {
        self.lanes.iter().all(|lane| Arc::strong_count(&lane.recorder) == 1)
    }

    fn read(&self) -> impl Iterator<Item = SourceReadings> {
        self.lanes.iter().enumerate().map(|(index, lane)| SourceReadings {
            source: Source::Pool {
                id: self.id,
                pool: self.name.clone(),
                backend: lane.backend,
                burst: index > 0,
            },
            readings: Readings::of_lane(&lane.recorder, lane.lane.upgrade().as_deref()),
        })
    }
}

/// Reads the metrics of all pools of this process, again and again.
pub(super) struct Collector {
    inbox: Arc<Inbox>,
    pools: Vec<Arc<MeteredPool>>,
}

impl Collector {
    /// A collector that reads the pools that exist, and those that start later.
    pub(super) fn new() -> Self {
        let mut registry = REGISTRY.lock();
        let inbox = Arc::new(Inbox::default());
        registry.inboxes.push(Arc::downgrade(&inbox));
        let pools = registry.pools.iter().filter(|pool| !pool.is_gone()).cloned().collect();
        Self { inbox, pools }
    }

    /// Reads every series of the process, and of each pool that exists or has ended since the last
    /// time.
    pub(super) fn collect(&mut self) -> Vec<SourceReadings> {
        self.pools.append(&mut self.inbox.lock());
        // Asked before the pools are read, so that nothing is recorded after the last reading.
        let gone: Vec<_> = self.pools.iter().map(|pool| pool.is_gone()).collect();
        let process = SourceReadings { source: Source::Process, readings: Readings::of_process() };
        let pools = self.pools.iter().flat_map(|pool| pool.read());
        let all = std::iter::once(process).chain(pools).collect();
        let mut gone = gone.into_iter();
        self.pools.retain(|_| !gone.next().unwrap_or(false));
        all
    }
}

/// Reads every series of this process and of its pools, once.
#[must_use]
pub fn read() -> Vec<SourceReadings> {
    Collector::new().collect()
}
