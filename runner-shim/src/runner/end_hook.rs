//! The app's hook for the end of a runner, in which it sends, for example, the spans that it has
//! collected.

use std::sync::Arc;
use std::time::Duration;

use crate::log_writer::print_line;

/// The app's work at the end of a runner. It may block.
pub type EndHook = Arc<dyn Fn() + Send + Sync>;

/// How long the work may take. It is less than the time in which a parent expects the end of a
/// runner that has said goodbye, and than the time that a runner on ECS keeps before SIGKILL.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the work on a blocking thread. Waits for it for three seconds, or for half of the time
/// until the host ends this runner, if that is less.
pub async fn run_end_hook(hook: Option<&EndHook>, expires_in: Option<Duration>) {
    let Some(hook) = hook.cloned() else { return };
    let limit = expires_in.map_or(TIMEOUT, |left| TIMEOUT.min(left / 2));
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(move || hook())).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => print_line("flame-aws: the app's `on_runner_end` panicked"),
        Err(_) => print_line(format!(
            "flame-aws: the app's `on_runner_end` took longer than {limit:?}, and the runner ends \
             without waiting for it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_the_hook_and_survives_its_panic() {
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let hook: EndHook = Arc::new(move || seen.store(true, Ordering::Release));
        run_end_hook(Some(&hook), None).await;
        assert!(done.load(Ordering::Acquire));
        let panics: EndHook = Arc::new(|| panic!("the exporter is gone"));
        run_end_hook(Some(&panics), None).await;
    }

    #[tokio::test]
    async fn a_hook_that_hangs_delays_the_end_only_for_a_while() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = flame_wire::sync::Mutex::new(released);
        let hangs: EndHook = Arc::new(move || {
            let _ = released.lock().recv();
        });
        run_end_hook(Some(&hangs), Some(Duration::from_millis(20))).await;
        drop(release);
    }
}
