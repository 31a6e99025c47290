//! Signals that drain the pools of a parent:
//! [`App::drain_on_signals`](super::App::drain_on_signals).
//!
//! ```text
//!   1st signal ─▶ all pools drain; `main` goes on
//!   2nd signal ─▶ calls under way are cancelled; the pools are gone, or POOLS_TIMEOUT is over
//!                   ─▶ MAIN_TIMEOUT ─▶ the process exits
//!   3rd signal ─▶ the process exits
//!   any signal after `main` has returned ─▶ the process exits
//! ```
//!
//! A separate thread handles the signals, so that it receives a second one even if the app blocks
//! its runtime.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::sync::Mutex;

use crate::pool::PoolInner;

/// How long the runners may take to end after the second signal. A pool kills a runner that is
/// still there 10 s after it was told to end.
const POOLS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long `main` may take to return after that.
const MAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pools of this process, and the last request to all of them.
struct Pools {
    pools: Vec<Weak<PoolInner>>,
    requested: Option<DrainRequest>,
}

/// A signal's request to all pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DrainRequest {
    /// Calls under way have their pool's `shutdown_timeout`.
    Drain,
    /// Calls under way are cancelled.
    Cancel,
}

static POOLS: Mutex<Pools> = Mutex::new(Pools { pools: Vec::new(), requested: None });

/// Lets signals drain this pool as well. If there has been a signal, the pool drains at once.
pub(crate) fn register(pool: &Arc<PoolInner>) {
    let mut pools = POOLS.lock();
    pools.pools.retain(|pool| pool.strong_count() > 0);
    pools.pools.push(Arc::downgrade(pool));
    let requested = pools.requested;
    drop(pools);
    if let Some(request) = requested {
        drain(pool, request);
    }
}

fn drain(pool: &PoolInner, request: DrainRequest) {
    pool.begin_drain(match request {
        DrainRequest::Drain => pool.shutdown_timeout(),
        DrainRequest::Cancel => Duration::ZERO,
    });
}

/// Drains all pools, including those that start later. Returns the pools that there are now.
fn drain_all(request: DrainRequest) -> Vec<Arc<PoolInner>> {
    let mut pools = POOLS.lock();
    pools.requested = Some(request);
    let all: Vec<_> = pools.pools.iter().filter_map(Weak::upgrade).collect();
    drop(pools);
    all.iter().for_each(|pool| drain(pool, request));
    all
}

/// The reaction to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalAction {
    Drain(DrainRequest),
    Exit,
}

impl SignalAction {
    /// `previous` is the request of the signal before, if there was one.
    fn after(previous: Option<DrainRequest>, main_has_returned: bool) -> Self {
        match previous {
            _ if main_has_returned => SignalAction::Exit,
            None => SignalAction::Drain(DrainRequest::Drain),
            Some(DrainRequest::Drain) => SignalAction::Drain(DrainRequest::Cancel),
            Some(DrainRequest::Cancel) => SignalAction::Exit,
        }
    }
}

/// Handles signals while `main` runs. It is dropped when `main` has returned; then the next signal
/// ends the process, as it would without a handler.
#[derive(Debug)]
pub(super) struct SignalGuard {
    returned: Arc<AtomicBool>,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.returned.store(true, Ordering::Release);
    }
}

/// Handles the signals of this process from now on.
pub(super) fn listen() -> io::Result<SignalGuard> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _within = runtime.enter();
        SignalReceiver::listen()?
    };
    let returned = Arc::new(AtomicBool::new(false));
    let guard = SignalGuard { returned: returned.clone() };
    let handle = move || runtime.block_on(handle(signals, &returned));
    std::thread::Builder::new().name("flame-signals".to_owned()).spawn(handle)?;
    Ok(guard)
}

async fn handle(mut signals: SignalReceiver, returned: &AtomicBool) {
    let mut requested = None;
    loop {
        let signal = signals.recv().await;
        match SignalAction::after(requested, returned.load(Ordering::Acquire)) {
            SignalAction::Exit => exit(signal),
            SignalAction::Drain(request) => {
                requested = Some(request);
                let pools = drain_all(request);
                let count = pools.len();
                if request == DrainRequest::Drain {
                    log_writer::event(move || {
                        tracing::info!(
                            signal,
                            pools = count,
                            "a signal drains all pools; a second one cancels their calls"
                        );
                    });
                    continue;
                }
                log_writer::event(move || {
                    tracing::info!(
                        signal,
                        pools = count,
                        "a second signal cancels all calls; a third one ends the process"
                    );
                });
                tokio::select! {
                    () = main_should_have_returned(pools) => {
                        if !returned.load(Ordering::Acquire) {
                            exit(signal);
                        }
                    }
                    signal = signals.recv() => exit(signal),
                }
            }
        }
    }
}

/// Waits until the pools are gone and `main` has had time to return.
async fn main_should_have_returned(pools: Vec<Arc<PoolInner>>) {
    let gone = async {
        for pool in &pools {
            pool.drained().await;
        }
    };
    let _ = tokio::time::timeout(POOLS_TIMEOUT, gone).await;
    // Drops these references first, because the app may check whether it holds the last one.
    drop(pools);
    tokio::time::sleep(MAIN_TIMEOUT).await;
}

/// Exits with the code that a shell reports for a process killed by this signal.
fn exit(signal: i32) -> ! {
    std::process::exit(flame_runner_shim::exit_code::EXIT_SIGNAL_BASE.saturating_add(signal))
}

/// Receives SIGINT, SIGTERM and SIGHUP, except those that this process was started to ignore, as by
/// `nohup`.
#[cfg(unix)]
#[derive(Debug)]
struct SignalReceiver(Vec<(i32, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl SignalReceiver {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let ignored = ignored();
        let heard = kinds.into_iter().filter(|kind| !contains(ignored, kind.as_raw_value()));
        let heard = heard.map(|kind| Ok((kind.as_raw_value(), signal(kind)?)));
        heard.collect::<io::Result<_>>().map(Self)
    }

    async fn recv(&mut self) -> i32 {
        std::future::poll_fn(|cx| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The signals that this process ignores, as a set of bits. Empty if the kernel does not report
/// them.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(unix)]
fn contains(signals: u64, number: i32) -> bool {
    u32::try_from(number - 1).is_ok_and(|bit| signals.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

/// Receives Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
struct SignalReceiver;

#[cfg(not(unix))]
impl SignalReceiver {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) -> i32 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_a_stronger_effect_than_the_one_before() {
        use DrainRequest::{Cancel, Drain};
        assert_eq!(SignalAction::after(None, false), SignalAction::Drain(Drain));
        assert_eq!(SignalAction::after(Some(Drain), false), SignalAction::Drain(Cancel));
        assert_eq!(SignalAction::after(Some(Cancel), false), SignalAction::Exit);
    }

    #[test]
    fn a_signal_after_main_has_returned_ends_the_process() {
        for previous in [None, Some(DrainRequest::Drain), Some(DrainRequest::Cancel)] {
            assert_eq!(SignalAction::after(previous, true), SignalAction::Exit);
        }
    }

    #[cfg(unix)]
    #[test]
    fn ignored_signals_are_read_from_their_set_of_bits() {
        // As in /proc for a Rust process under `nohup`: Rust's standard library ignores SIGPIPE.
        let ignored = 0x1001;
        assert!(contains(ignored, 1) && contains(ignored, 13));
        assert!(!contains(ignored, 2) && !contains(ignored, 15) && !contains(ignored, 0));
    }
}
