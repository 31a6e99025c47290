//! Signals that drain the pools of a parent: [`App::drain_on_signals`](super::App::drain_on_signals).
//!
//! ```text
//!   1st signal ─▶ all pools drain; `main` goes on
//!   2nd signal ─▶ calls under way are cancelled; pools gone, or PATIENCE_WITH_POOLS over
//!                   ─▶ PATIENCE_WITH_MAIN ─▶ the process exits
//!   3rd signal ─▶ the process exits
//!   any signal after `main` has returned ─▶ the process exits
//! ```
//!
//! A thread of its own listens, so that a second signal is heard while the app blocks its runtime.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flame_runner_shim::log_writer;

use crate::pool::driver::Shared;

/// How long the runners may take to be gone after the second signal. The pool itself stops a runner
/// that has not ended 10 s after it was told to.
const PATIENCE_WITH_POOLS: Duration = Duration::from_secs(20);
/// How long `main` may take to return after that.
const PATIENCE_WITH_MAIN: Duration = Duration::from_secs(5);

/// The pools of this process, and what has been asked of all of them.
struct Pools {
    pools: Vec<Weak<Shared>>,
    asked: Option<Wish>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Drain,
    Hurry,
}

static POOLS: Mutex<Pools> = Mutex::new(Pools { pools: Vec::new(), asked: None });

fn pools() -> MutexGuard<'static, Pools> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets signals drain this pool, too. One that starts after a signal drains at once.
pub(crate) fn enrol(pool: &Arc<Shared>) {
    let mut pools = pools();
    pools.pools.retain(|pool| pool.strong_count() > 0);
    pools.pools.push(Arc::downgrade(pool));
    let asked = pools.asked;
    drop(pools);
    if let Some(wish) = asked {
        ask(pool, wish);
    }
}

fn ask(pool: &Shared, wish: Wish) {
    pool.begin_drain(match wish {
        Wish::Drain => pool.config.shutdown_timeout,
        Wish::Hurry => Duration::ZERO,
    });
}

/// Asks the same of all pools, and of those to come; gives those that there are.
fn ask_all(wish: Wish) -> Vec<Arc<Shared>> {
    let mut pools = pools();
    pools.asked = Some(wish);
    let all: Vec<_> = pools.pools.iter().filter_map(Weak::upgrade).collect();
    drop(pools);
    all.iter().for_each(|pool| ask(pool, wish));
    all
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask(Wish),
    Exit,
}

impl Step {
    fn of(asked: Option<Wish>, main_has_returned: bool) -> Self {
        match asked {
            _ if main_has_returned => Step::Exit,
            None => Step::Ask(Wish::Drain),
            Some(Wish::Drain) => Step::Ask(Wish::Hurry),
            Some(Wish::Hurry) => Step::Exit,
        }
    }
}

/// Handles signals while `main` runs. When this is dropped `main` has returned, and the next signal
/// ends the process, as it would have without a handler.
#[derive(Debug)]
pub(super) struct Listening {
    returned: Arc<AtomicBool>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.returned.store(true, Ordering::Release);
    }
}

/// Handles the signals of this process from now on.
pub(super) fn listen() -> io::Result<Listening> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::listen()?
    };
    let returned = Arc::new(AtomicBool::new(false));
    let listening = Listening { returned: returned.clone() };
    let handle = move || runtime.block_on(handle(signals, &returned));
    std::thread::Builder::new().name("flame-signals".to_owned()).spawn(handle)?;
    Ok(listening)
}

async fn handle(mut signals: Signals, returned: &AtomicBool) {
    let mut asked = None;
    loop {
        let signal = signals.recv().await;
        match Step::of(asked, returned.load(Ordering::Acquire)) {
            Step::Exit => exit(signal),
            Step::Ask(wish) => {
                asked = Some(wish);
                let pools = ask_all(wish);
                let count = pools.len();
                if wish == Wish::Drain {
                    log_writer::event(move || {
                        tracing::info!(
                            signal,
                            pools = count,
                            "drains; a second signal cancels calls"
                        );
                    });
                    continue;
                }
                log_writer::event(move || {
                    tracing::info!(signal, pools = count, "cancels calls; a third signal exits");
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

async fn main_should_have_returned(pools: Vec<Arc<Shared>>) {
    let gone = async {
        for pool in &pools {
            pool.drained().await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE_WITH_POOLS, gone).await;
    // `main` may hold the last other handle, and look whether it is one.
    drop(pools);
    tokio::time::sleep(PATIENCE_WITH_MAIN).await;
}

/// Exits as a shell reports an end by this signal.
fn exit(signal: i32) -> ! {
    std::process::exit(flame_runner_shim::exit_code::EXIT_SIGNAL_BASE.saturating_add(signal))
}

/// SIGINT, SIGTERM and SIGHUP, but those that this process was started to ignore, as `nohup` does.
#[cfg(unix)]
#[derive(Debug)]
struct Signals(Vec<(i32, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let ignored = ignored();
        let heard = kinds.into_iter().filter(|kind| !is_in(ignored, kind.as_raw_value()));
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

/// The signals that this process ignores, as a set of bits; none where the kernel does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(unix)]
fn is_in(signals: u64, number: i32) -> bool {
    u32::try_from(number - 1).is_ok_and(|bit| signals.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

/// Ctrl-C alone.
#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
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
    fn each_signal_is_stronger_than_the_last() {
        assert_eq!(Step::of(None, false), Step::Ask(Wish::Drain));
        assert_eq!(Step::of(Some(Wish::Drain), false), Step::Ask(Wish::Hurry));
        assert_eq!(Step::of(Some(Wish::Hurry), false), Step::Exit);
    }

    #[test]
    fn a_signal_after_main_has_returned_ends_the_process() {
        for asked in [None, Some(Wish::Drain), Some(Wish::Hurry)] {
            assert_eq!(Step::of(asked, true), Step::Exit);
        }
    }

    #[cfg(unix)]
    #[test]
    fn signals_are_found_in_their_set() {
        // As /proc shows it of a process under `nohup`, whose standard library ignores SIGPIPE.
        let ignored = 0x1001;
        assert!(is_in(ignored, 1) && is_in(ignored, 13));
        assert!(!is_in(ignored, 2) && !is_in(ignored, 15) && !is_in(ignored, 0));
    }
}
