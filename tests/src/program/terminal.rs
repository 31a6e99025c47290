//! Parents at a terminal, and parents that receive signals.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::gates::{self, Gate};
use crate::demo::{self, commands};
use crate::{process, process_pool};

/// How many signals [`handles_signals`] waits for.
const SIGNALS: &str = "DEMO_SIGNALS";

/// Has a call under way, handles the terminal's signals itself, and then finishes its call.
pub(super) async fn handles_signals() {
    let kinds = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()];
    let mut signals = kinds.map(|kind| signal(kind).unwrap());
    // With this shutdown timeout a runner that is told to shut down cuts off its call at once.
    let pool = process_pool("interrupted").max(1).timeout(None);
    let pool = pool.shutdown_timeout(Duration::from_millis(1)).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    let runner = gate.entered().await;
    super::report_pid("runner", runner);
    println!("ready");
    let wanted: u32 = std::env::var(SIGNALS).unwrap().parse().unwrap();
    for _ in 0..wanted {
        select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
        println!("a signal");
    }
    let again = pool.call(demo::pid()).await;
    println!("another call on the same runner: {}", again.is_ok_and(|pid| pid == runner));
    gate.open();
    let answer = call.await.unwrap();
    println!("the call has its result: {}", matches!(answer, Ok(Ok(pid)) if pid == runner));
    pool.drain().await;
}

/// Receives a signal while a child boots, and then calls it.
pub(super) async fn handles_signals_while_booting() {
    let mut interrupted = signal(SignalKind::interrupt()).unwrap();
    let (hold, written) = (crate::TempDir::new(), crate::TempDir::new());
    let backend = flame_aws::backend::Process::new()
        .env("DEMO_HANG_WHILE_EXISTS", hold.path())
        .env("DEMO_WRITE_PARENT_TO", written.path());
    let pool = process_pool("interrupted").max(1).backend(backend);
    let pool = pool.boot_timeout(Duration::from_secs(60)).start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::pid().timeout(None)));
    crate::until("the child boots", || !written.files().is_empty()).await;
    println!("ready");
    interrupted.recv().await;
    println!("a signal");
    drop(hold);
    let pid = call.await.unwrap().unwrap();
    let booted: Vec<_> =
        written.files().iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    println!("the child has served: {}", booted == [pid.to_string().as_str()]);
    pool.drain().await;
}

/// Has a call under way, and lets it return at SIGUSR1.
pub(super) async fn is_stopped_and_continued() {
    let mut release = signal(SignalKind::user_defined1()).unwrap();
    let pool = process_pool("stopped").max(1).timeout(None);
    let pool = pool
        .keepalive_timeout(Duration::from_millis(500))
        .reconnect_timeout(Duration::from_millis(750));
    let pool = pool.start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    super::report_pid("runner", gate.entered().await);
    println!("ready");
    release.recv().await;
    gate.open();
    println!("the call has its result: {}", matches!(call.await.unwrap(), Ok(Ok(_))));
    pool.drain().await;
}

/// Prints whether the parent and a function on its runner can open the terminal.
pub(super) async fn opens_the_terminal() {
    let pool = process_pool("terminal").max(1).start().await.unwrap();
    println!("the parent: {}", std::fs::File::open("/dev/tty").is_ok());
    println!("the runner: {}", pool.call(commands::opens_the_terminal()).await.unwrap());
    pool.drain().await;
}

/// Has one call under way and one in the queue, and handles no signal. After the calls it starts
/// another pool, and returns.
pub(super) async fn leaves_signals_to_the_library() {
    let pool = process_pool("drained").max(1).max_concurrency(1).timeout(None);
    let pool = pool.start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(gates::gated(begun, open)));
    super::report_pid("runner", gate.entered().await);
    let waiting = pool.call(demo::pid());
    println!("ready");
    println!("the queued call: {}", waiting.await.unwrap_err());
    if std::env::var_os("DEMO_OPEN_GATE").is_some() {
        gate.open();
    }
    match call.await.unwrap() {
        Ok(answer) => println!("the call: {}", answer.is_ok()),
        Err(error) => println!("the call: {error}"),
    }
    let late = process_pool("late").start().await.unwrap();
    println!("a pool that starts now: {}", late.call(demo::pid()).await.unwrap_err());
}

/// Prints when its pool has drained, and never returns.
pub(super) async fn never_returns_from_main() {
    let pool = process_pool("drained").min(1).max(1).start().await.unwrap();
    pool.ready().await;
    let mut watcher = crate::Watcher::new(&pool);
    super::report_pid("runner", process::pids(&pool)[0]);
    println!("ready");
    watcher.drained().await;
    println!("drained");
    std::future::pending().await
}
