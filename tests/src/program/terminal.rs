//! Parents at a terminal, and parents that get signals.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::mischief::Gate;
use crate::{demo, mischief, process, process_pool};

/// How many signals [`handles_signals`] waits for.
const SIGNALS: &str = "DEMO_SIGNALS";

/// Has a call under way, handles the terminal's signals itself, and then finishes its work.
pub(super) async fn handles_signals() {
    let kinds = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()];
    let mut signals = kinds.map(|kind| signal(kind).unwrap());
    // A runner that is told to end at all cuts its call off at once.
    let pool = process_pool("interrupted").max(1).timeout(None);
    let pool = pool.shutdown_timeout(Duration::from_millis(1)).start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    let runner = gate.entered().await;
    super::tell("runner", runner);
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

/// The same with a child that boots while the signal comes.
pub(super) async fn handles_signals_in_a_boot() {
    let mut interrupted = signal(SignalKind::interrupt()).unwrap();
    let (hold, told) = (crate::Folder::new(), crate::Folder::new());
    let backend = flame_aws::backend::Process::new()
        .env("DEMO_HANG_WHILE", hold.path())
        .env("DEMO_TELL", told.path());
    let pool = process_pool("interrupted").max(1).backend(backend);
    let pool = pool.boot_timeout(Duration::from_secs(60)).start().await.unwrap();
    let call = tokio::spawn(pool.call(demo::pid().timeout(None)));
    crate::until("the child boots", || !told.files().is_empty()).await;
    println!("ready");
    interrupted.recv().await;
    println!("a signal");
    drop(hold);
    let pid = call.await.unwrap().unwrap();
    let booted: Vec<_> =
        told.files().iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    println!("the child has served: {}", booted == [pid.to_string().as_str()]);
    pool.drain().await;
}

/// Has a call under way, and is patient with it; ends it when it gets SIGUSR1.
pub(super) async fn is_stopped() {
    let mut go_on = signal(SignalKind::user_defined1()).unwrap();
    let pool = process_pool("stopped").max(1).timeout(None);
    let pool = pool
        .keepalive_timeout(Duration::from_millis(500))
        .reconnect_timeout(Duration::from_millis(750));
    let pool = pool.start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    super::tell("runner", gate.entered().await);
    println!("ready");
    go_on.recv().await;
    gate.open();
    println!("the call has its result: {}", matches!(call.await.unwrap(), Ok(Ok(_))));
    pool.drain().await;
}

/// Has a runner whose function tries to reach the terminal, and says whether it did.
pub(super) async fn asks_for_the_terminal() {
    let pool = process_pool("terminal").max(1).start().await.unwrap();
    println!("the parent: {}", std::fs::File::open("/dev/tty").is_ok());
    println!("the runner: {}", pool.call(mischief::opens_the_terminal()).await.unwrap());
    pool.drain().await;
}

/// Has a call under way and one that waits, and handles no signal. Whatever the call gives, it starts
/// another pool, and returns.
pub(super) async fn leaves_its_signals() {
    let pool = process_pool("drained").max(1).max_concurrency(1).timeout(None);
    let pool = pool.start().await.unwrap();
    let (mut gate, begun, open) = Gate::new();
    let call = tokio::spawn(pool.call(mischief::gated(begun, open)));
    super::tell("runner", gate.entered().await);
    let waiting = pool.call(demo::pid());
    println!("ready");
    println!("the call that waits: {}", waiting.await.unwrap_err());
    if std::env::var_os("DEMO_OPENS").is_some() {
        gate.open();
    }
    match call.await.unwrap() {
        Ok(answer) => println!("the call: {}", answer.is_ok()),
        Err(error) => println!("the call: {error}"),
    }
    let late = process_pool("late").start().await.unwrap();
    println!("a pool that starts now: {}", late.call(demo::pid()).await.unwrap_err());
}

/// Says when its pool drains, and never returns.
pub(super) async fn ignores_that_it_should_end() {
    let pool = process_pool("drained").min(1).max(1).start().await.unwrap();
    pool.ready().await;
    let mut watcher = crate::Watcher::new(&pool);
    super::tell("runner", process::pids(&pool)[0]);
    println!("ready");
    watcher.drained().await;
    println!("drained");
    std::future::pending().await
}
