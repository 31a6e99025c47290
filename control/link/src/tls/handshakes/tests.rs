use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;

use super::*;

/// A thread that begins everything in time.
fn patient() -> HandshakeThread {
    HandshakeThread::start(Duration::from_secs(60)).unwrap()
}

fn name() -> Option<String> {
    thread::current().name().map(str::to_owned)
}

/// Keeps the thread busy until the sender is dropped.
fn occupy(thread: &HandshakeThread) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    thread.jobs.send(Box::new(move || _ = released.recv())).unwrap();
    release
}

#[tokio::test]
async fn the_runtimes_thread_is_free_meanwhile() {
    let thread = patient();
    let (tell, told) = mpsc::channel();
    let computing = thread.compute(move || {
        let was_told = told.recv_timeout(Duration::from_secs(30));
        was_told.expect("the runtime goes on");
        name()
    });
    let (computed_by, ()) = tokio::join!(computing, async { tell.send(()).unwrap() });
    assert_eq!(computed_by.unwrap().as_deref(), Some("flame-handshake"));
}

#[tokio::test]
async fn a_panic_fails_one_computation() {
    let thread = patient();
    let failed = thread.compute(|| panic!("the library has a defect")).await;
    assert!(failed.unwrap_err().to_string().contains("panicked"));
    assert_eq!(thread.compute(|| 1).await.unwrap(), 1);
}

#[tokio::test]
async fn what_a_busy_thread_does_not_begin_is_computed_here() {
    let thread = HandshakeThread::start(Duration::ZERO).unwrap();
    let _busy = occupy(&thread);
    let here = name();
    assert_eq!(thread.compute(name).await.unwrap(), here);
}

#[tokio::test]
async fn a_dropped_future_computes_nothing_later() {
    let thread = patient();
    let busy = occupy(&thread);
    let was_computed = Arc::new(AtomicBool::new(false));
    let computes = was_computed.clone();
    let unfinished = thread.compute(move || computes.store(true, Ordering::Relaxed)).now_or_never();
    assert!(unfinished.is_none());
    drop(busy);
    thread.compute(|| ()).await.unwrap();
    assert!(!was_computed.load(Ordering::Relaxed));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_thread_gives_way_to_all_others() {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};
    let policy = patient().compute(|| thread_priority::thread_schedule_policy().unwrap()).await;
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    assert_eq!(policy.unwrap(), idle);
}
