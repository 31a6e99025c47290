//! The state that all requests for a page share: the recorders of its pools, and the last view.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use super::WatchedPool;
use super::control::PageToken;
use super::recorder::reading::PoolReading;
use super::recorder::{PoolRecorder, WallClock};
use crate::pool::lane::now;
use crate::pool::{Events, PoolInner, RunnerEnding};

/// How often the view may change.
pub(super) const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// How many pages may get events at a time.
pub(super) const MOST_OPEN_PAGES: usize = 32;

/// The state that all requests for a page share.
pub(super) struct PageState {
    clock: WallClock,
    pools: Vec<RecordedPool>,
    /// The token that a request must have to end a runner; `None` without control.
    pub(super) token: Option<PageToken>,
    last: Mutex<Arc<PageView>>,
    pub(super) open_pages: Arc<Semaphore>,
    /// Dropped with this value. Then the tasks that record end.
    alive: watch::Sender<()>,
}

struct RecordedPool {
    pool: Weak<PoolInner>,
    recorder: Mutex<PoolRecorder>,
}

/// The content of the page at one moment.
pub(super) struct PageView {
    taken: Instant,
    /// The Unix time in milliseconds.
    unix_ms: f64,
    /// Changes when a pool changes.
    version: u64,
    pools: Vec<Map<String, Value>>,
    /// Whether all pools have ended.
    pub(super) ended: bool,
}

impl PageState {
    /// Starts to record the pools.
    pub(super) fn start(pools: Vec<WatchedPool>, control: bool) -> Arc<Self> {
        let clock = wall_clock();
        let (recorded, sources): (Vec<_>, Vec<_>) = pools
            .into_iter()
            .map(|WatchedPool { name, pool, events, runtime }| {
                let recorder = Mutex::new(PoolRecorder::new(clock, &name));
                (RecordedPool { pool, recorder }, (events, runtime))
            })
            .unzip();
        let (taken, unix_ms) = (clock.origin, clock.unix_ms);
        let none = PageView { taken, unix_ms, version: 0, pools: Vec::new(), ended: false };
        let state = Arc::new(Self {
            clock,
            pools: recorded,
            token: control.then(PageToken::generate),
            last: Mutex::new(Arc::new(none)),
            open_pages: Arc::new(Semaphore::new(MOST_OPEN_PAGES)),
            alive: watch::Sender::new(()),
        });
        for (index, (events, runtime)) in sources.into_iter().enumerate() {
            let alive = state.alive.subscribe();
            runtime.spawn(record(Arc::downgrade(&state), index, events, alive));
        }
        state
    }

    /// The view now, or one that is a little older.
    pub(super) fn view(&self) -> Arc<PageView> {
        let mut last = self.last.lock();
        let now = now();
        let is_fresh = now.saturating_duration_since(last.taken) < REFRESH_EVERY;
        if last.version > 0 && is_fresh {
            return last.clone();
        }
        let (pools, ended): (Vec<_>, Vec<_>) = self.pools.iter().map(|pool| pool.read(now)).unzip();
        let ended = ended.into_iter().all(|ended| ended);
        let changed = last.version == 0 || last.pools != pools || last.ended != ended;
        let version = last.version + u64::from(changed);
        *last =
            Arc::new(PageView { taken: now, unix_ms: self.clock.at(now), version, pools, ended });
        last.clone()
    }

    /// Ends a runner of any of the pools. `false` if none has it.
    pub(super) fn end_runner(&self, runner: RunnerRef, ending: RunnerEnding) -> bool {
        let mut pools = self.pools.iter().filter_map(|recorded| recorded.pool.upgrade());
        pools.any(|pool| pool.end_runner(runner, ending).is_ok())
    }
}

impl RecordedPool {
    /// The pool as JSON, and whether it has ended.
    fn read(&self, now: Instant) -> (Map<String, Value>, bool) {
        // Read before the recorder is locked, which the recording task may wait for.
        let reading = self.pool.upgrade().map(|pool| PoolReading::of(&pool, now));
        let mut recorder = self.recorder.lock();
        match reading {
            Some(reading) => recorder.read(reading),
            None => recorder.gone(),
        }
        let json = serde_json::to_value(recorder.view());
        let json = match json {
            Ok(Value::Object(map)) => map,
            // Never: a view is a struct of numbers and texts.
            _ => Map::new(),
        };
        (json, recorder.has_ended())
    }
}

impl PageView {
    /// Everything.
    pub(super) fn whole(&self, control: bool) -> Value {
        json!({ "now": self.unix_ms, "control": control, "pools": self.pools })
    }

    /// For each pool, the fields that differ from an earlier view; `None` if none does.
    pub(super) fn patch(&self, earlier: &Self) -> Option<Value> {
        if earlier.version == self.version {
            return None;
        }
        let pools = self.pools.iter().enumerate().map(|(index, pool)| {
            let before = earlier.pools.get(index);
            let differs = |key: &str, value: &Value| {
                before.and_then(|before| before.get(key)).is_none_or(|before| before != value)
            };
            let changed = pool.iter().filter(|(key, value)| differs(key, value));
            Value::Object(changed.map(|(key, value)| (key.clone(), value.clone())).collect())
        });
        Some(json!({ "now": self.unix_ms, "pools": pools.collect::<Vec<_>>() }))
    }
}

/// Records the events of one pool, until the pool or the page is gone.
async fn record(
    state: Weak<PageState>,
    index: usize,
    mut events: Events,
    mut alive: watch::Receiver<()>,
) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = alive.changed() => return,
        };
        let (Some(event), Some(state)) = (event, state.upgrade()) else { return };
        let Some(RecordedPool { pool, recorder }) = state.pools.get(index) else { return };
        match event {
            Ok(event) => {
                recorder.lock().event(now(), &event);
                if matches!(event, crate::PoolEvent::Drained)
                    && let Some(pool) = pool.upgrade()
                {
                    // The last reading: soon the pool is gone, and its numbers with it.
                    let reading = PoolReading::of(&pool, now());
                    recorder.lock().read(reading);
                }
            }
            Err(lagged) => recorder.lock().missed(lagged.0),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "people read the time of the wall clock")]
fn wall_clock() -> WallClock {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock { origin: now(), unix_ms: unix.as_secs_f64() * 1e3 }
}

#[cfg(test)]
mod tests;
