//! The view of a live page, as its server sends it. Pure.
//!
//! A field that is missing gets its default, so that a page of another version is still shown. The types
//! have the names of those that the server sends.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sse::SseEvent;

/// The content of a live page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PageView {
    /// The server's clock: milliseconds since the Unix epoch.
    pub(crate) now: f64,
    pub(crate) pools: Vec<PoolView>,
    /// Whether all pools have ended.
    pub(crate) ended: bool,
    /// As sent, for the patches.
    raw: Vec<Map<String, Value>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PoolView {
    pub(crate) name: String,
    pub(crate) stage: String,
    pub(crate) explanation: String,
    pub(crate) cost: Option<String>,
    pub(crate) up: u64,
    pub(crate) booting: u64,
    pub(crate) queued: u64,
    pub(crate) leased: u64,
    pub(crate) free: u64,
    pub(crate) runners: Vec<RunnerRow>,
    pub(crate) calls: Vec<LiveCallRow>,
    pub(crate) finished: Vec<FinishedCallRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) errors: Vec<ErrorRow>,
    pub(crate) metrics: Vec<MetricRow>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct RunnerRow {
    pub(crate) runner: String,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) leases: u64,
    pub(crate) slots: u64,
    pub(crate) calls_done: u64,
    pub(crate) since: f64,
    pub(crate) instance: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct LiveCallRow {
    pub(crate) function: String,
    pub(crate) runner: Option<String>,
    pub(crate) since: f64,
    pub(crate) started: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct FinishedCallRow {
    pub(crate) function: String,
    pub(crate) runner: Option<String>,
    pub(crate) outcome: String,
    pub(crate) start: f64,
    pub(crate) queue: f64,
    pub(crate) boot: f64,
    pub(crate) run: f64,
    pub(crate) reply: f64,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct EventRow {
    pub(crate) text: String,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorRow {
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) log_tail: Vec<String>,
    pub(crate) times: u64,
}

/// A total, or a distribution of durations.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct MetricRow {
    pub(crate) name: String,
    pub(crate) attribute: Option<String>,
    pub(crate) unit: String,
    pub(crate) total: Option<f64>,
    pub(crate) count: Option<u64>,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The data of a `view` or a `patch`.
#[derive(Deserialize)]
struct Sent {
    now: f64,
    pools: Vec<Map<String, Value>>,
}

impl PageView {
    /// Takes an event. Events of other names are ignored.
    pub(crate) fn take(&mut self, event: &SseEvent) -> serde_json::Result<()> {
        match event.name.as_str() {
            "view" => {
                let Sent { now, pools } = serde_json::from_str(&event.data)?;
                self.show(now, pools)
            }
            "patch" => {
                let Sent { now, pools } = serde_json::from_str(&event.data)?;
                let mut all = self.raw.clone();
                for (pool, changed) in all.iter_mut().zip(pools) {
                    pool.extend(changed);
                }
                self.show(now, all)
            }
            "end" => {
                self.ended = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn show(&mut self, now: f64, raw: Vec<Map<String, Value>>) -> serde_json::Result<()> {
        let pools = raw.iter().map(|pool| PoolView::deserialize(Value::Object(pool.clone())));
        let pools = pools.collect::<Result<_, _>>()?;
        *self = Self { now, pools, ended: false, raw };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn a_patch_changes_only_the_fields_that_it_has() {
        let mut view = PageView::default();
        view.take(&event("view", r#"{"now":1,"pools":[{"name":"a","up":1},{"name":"b"}]}"#))
            .unwrap();
        view.take(&event("patch", r#"{"now":2,"pools":[{"up":3,"new":[]},{}]}"#)).unwrap();
        let pools: Vec<_> = view.pools.iter().map(|pool| (pool.name.as_str(), pool.up)).collect();
        assert_eq!((view.now, &pools[..]), (2.0, &[("a", 3), ("b", 0)][..]));
        view.take(&event("end", "all pools have ended")).unwrap();
        assert!(view.ended);
        assert_eq!(view.pools.len(), 2, "they are still shown");
    }

    #[test]
    fn data_that_is_no_view_changes_nothing() {
        let mut view = PageView::default();
        view.take(&event("view", r#"{"now":1,"pools":[{"name":"a"}]}"#)).unwrap();
        for wrong in ["", "[]", r#"{"now":2,"pools":[{"name":7}]}"#] {
            view.take(&event("patch", wrong)).unwrap_err();
        }
        assert_eq!((view.now, view.pools[0].name.as_str()), (1.0, "a"));
    }
}
