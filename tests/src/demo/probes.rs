//! Remote functions that report what happens on their runner.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use flame_aws::{CallContext, RunnerRef, remote};

/// Returns how much of its time this call has left.
#[remote]
pub async fn time_left() -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "a function of an app may read the clock")]
    let now = Instant::now();
    Some(CallContext::current()?.deadline?.saturating_duration_since(now))
}

/// For each runner, the number of calls to [`peak_concurrency`] now, and the highest number so far.
/// With the local backend one process has several runners.
static CONCURRENCY: LazyLock<Mutex<HashMap<RunnerRef, (usize, usize)>>> =
    LazyLock::new(Mutex::default);

/// Takes `time`, and returns the highest number of these calls that this runner has had at once,
/// with the bytes of the runner's ref.
#[remote]
pub async fn peak_concurrency(time: Duration) -> (usize, [u8; 16]) {
    let runner = CallContext::current().expect("a call").runner;
    let update = |change: fn(&mut (usize, usize))| {
        let mut runners = CONCURRENCY.lock().expect("nothing panics with the lock");
        let calls = runners.entry(runner).or_default();
        change(calls);
        calls.1
    };
    update(|(now, peak)| {
        *now += 1;
        *peak = (*peak).max(*now);
    });
    tokio::time::sleep(time).await;
    (update(|(now, _)| *now -= 1), *runner.as_bytes())
}

static MAY_IDLE_OUT: AtomicBool = AtomicBool::new(false);
static TIMES_ASKED: AtomicUsize = AtomicUsize::new(0);

/// The predicate of `App::idle_when` for runners with `DEMO_IDLE_WHEN`.
pub(crate) fn idle_predicate() -> bool {
    TIMES_ASKED.fetch_add(1, Ordering::SeqCst);
    MAY_IDLE_OUT.load(Ordering::SeqCst)
}

/// Returns how often this runner has asked its app whether it may idle out.
#[remote]
pub async fn times_asked_to_idle_out() -> usize {
    TIMES_ASKED.load(Ordering::SeqCst)
}

/// Lets this runner idle out from now on.
#[remote]
pub async fn allow_idle_shutdown() {
    MAY_IDLE_OUT.store(true, Ordering::SeqCst);
}
