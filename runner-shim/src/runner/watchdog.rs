//! Says so where functions keep the runtime from everything else.
//!
//! An `async` function that computes without an await keeps a worker of the runtime. Where all are
//! kept, the link's task can't answer its parent, and after the silence limit the runner is taken
//! for lost. Nothing here can help that; but whoever looks for the reason should find it. So a
//! thread of its own asks the runtime for a sign of life now and then.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::runtime::Handle;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(1);

/// Watches the runtime until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Dropped with this, and so the thread ends.
    _stop: Sender<()>,
}

/// Watches this runtime: `report` is called, on a thread of its own, once for each time that it gives
/// no sign of life for as long as `limit`. `None` where there is no thread to be had: the runner
/// works without.
pub(crate) fn watch(limit: Duration, report: impl Fn(&str) + Send + 'static) -> Option<Watchdog> {
    let runtime = Handle::current();
    let (stop, stopped) = mpsc::channel();
    let watching = move || {
        while stopped.recv_timeout(INTERVAL.min(limit)) == Err(RecvTimeoutError::Timeout) {
            let (answer, answers) = mpsc::channel();
            runtime.spawn(async move {
                let _ = answer.send(());
            });
            if answers.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                report(&message(limit));
                // It comes when a worker is free again, or is dropped with the runtime.
                let _ = answers.recv();
            }
        }
    };
    let thread = std::thread::Builder::new().name("flame-watch".to_owned()).spawn(watching);
    thread.is_ok().then_some(Watchdog { _stop: stop })
}

fn message(limit: Duration) -> String {
    format!(
        "asynchronous functions have kept every worker of this runner's runtime for {limit:?}: it \
         can't answer its parent, and will be taken for lost. Make what computes a plain function \
         (`fn` in place of `async fn`), or give it to `spawn_blocking`."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test(flavor = "current_thread")]
    async fn a_runtime_whose_only_worker_is_kept_is_complained_of() {
        let (report, reports) = mpsc::channel();
        let watch = watch(LIMIT, move |message| {
            let _ = report.send(message.to_owned());
        });
        // Keeps the worker until somebody complains.
        let message = reports.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(message.contains("every worker") && message.contains("20ms"), "{message}");
        drop(watch);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_ends_with_the_watch() {
        let (report, reports) = mpsc::channel::<()>();
        let watch = watch(Duration::from_secs(60), move |_| {
            let _ = report.send(());
        });
        drop(watch);
        // The thread owns the only sender: its end is the end of the channel.
        let ended = tokio::task::spawn_blocking(move || reports.recv());
        assert!(ended.await.unwrap().is_err());
    }
}
