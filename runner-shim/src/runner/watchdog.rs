//! Warns when functions keep the runtime from doing anything else.
//!
//! An `async` function that computes without an await occupies a worker of the runtime. When every
//! worker is occupied, the link's task can't answer the parent, and after `keepalive_timeout` the
//! parent treats the connection as lost. The runner can't prevent that, but it can print the
//! reason. So a separate thread regularly checks whether the runtime still runs tasks.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::runtime::Handle;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches a runtime until it is dropped.
#[derive(Debug)]
pub(crate) struct StarvationWatchdog {
    /// Ends the thread when it is dropped.
    _stop: Sender<()>,
}

/// Watches the current runtime. Each time it runs no task for as long as `limit`, `report` is
/// called once, on a thread of its own. `None` if no thread can be started: the runner works
/// without.
pub(crate) fn watch(
    limit: Duration,
    report: impl Fn(&str) + Send + 'static,
) -> Option<StarvationWatchdog> {
    let runtime = Handle::current();
    let (stop, stopped) = mpsc::channel();
    let run = move || {
        while stopped.recv_timeout(INTERVAL.min(limit)) == Err(RecvTimeoutError::Timeout) {
            let (answer, answers) = mpsc::channel();
            runtime.spawn(async move {
                let _ = answer.send(());
            });
            if answers.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                report(&message(limit));
                // Returns when a worker is free again, or when the runtime is dropped.
                let _ = answers.recv();
            }
        }
    };
    let thread = std::thread::Builder::new().name("flame-watchdog".to_owned()).spawn(run);
    thread.is_ok().then_some(StarvationWatchdog { _stop: stop })
}

fn message(limit: Duration) -> String {
    format!(
        "async functions have occupied every worker thread of this runner's runtime for {limit:?}, \
         so it can't answer its parent, which will give it up for lost. Make functions that compute \
         plain functions (`fn` instead of `async fn`), or move the computation to `spawn_blocking`."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test(flavor = "current_thread")]
    async fn a_runtime_whose_only_worker_is_occupied_is_reported() {
        let (report, reports) = mpsc::channel();
        let watchdog = watch(LIMIT, move |message| {
            let _ = report.send(message.to_owned());
        });
        // Occupies the worker until the report.
        let message = reports.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(message.contains("every worker thread") && message.contains("20ms"), "{message}");
        drop(watchdog);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_ends_when_the_watchdog_is_dropped() {
        let (report, reports) = mpsc::channel::<()>();
        let watchdog = watch(Duration::from_secs(60), move |_| {
            let _ = report.send(());
        });
        drop(watchdog);
        // The thread owns the only sender, so the channel ends with the thread.
        let ended = tokio::task::spawn_blocking(move || reports.recv());
        assert!(ended.await.unwrap().is_err());
    }
}
