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
const EVERY: Duration = Duration::from_secs(1);

/// Watches the runtime until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Dropped with this, and so the thread ends.
    _stop: Sender<()>,
}

/// Watches this runtime: `say` is called, on a thread of its own, once for each time that it gives
/// no sign of life for as long as `limit`. `None` where there is no thread to be had: the runner
/// works without.
pub(crate) fn watch(limit: Duration, say: impl Fn(&str) + Send + 'static) -> Option<Watch> {
    let runtime = Handle::current();
    let (stop, stopped) = mpsc::channel();
    let watching = move || {
        while stopped.recv_timeout(EVERY.min(limit)) == Err(RecvTimeoutError::Timeout) {
            let (sign, signs) = mpsc::channel();
            runtime.spawn(async move {
                let _ = sign.send(());
            });
            if signs.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                say(&complaint(limit));
                // It comes when a worker is free again, or is dropped with the runtime.
                let _ = signs.recv();
            }
        }
    };
    let thread = std::thread::Builder::new().name("flame-watch".to_owned()).spawn(watching);
    thread.is_ok().then_some(Watch { _stop: stop })
}

fn complaint(limit: Duration) -> String {
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
        let (say, said) = mpsc::channel();
        let watch = watch(LIMIT, move |words| {
            let _ = say.send(words.to_owned());
        });
        // Keeps the worker until somebody complains.
        let words = said.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(words.contains("every worker") && words.contains("20ms"), "{words}");
        drop(watch);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_ends_with_the_watch() {
        let (say, said) = mpsc::channel::<()>();
        let watch = watch(Duration::from_secs(60), move |_| {
            let _ = say.send(());
        });
        drop(watch);
        // The thread owns the only sender: its end is the end of the channel.
        let ended = tokio::task::spawn_blocking(move || said.recv());
        assert!(ended.await.unwrap().is_err());
    }
}
