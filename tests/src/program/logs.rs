//! Parents whose children print and log.

use std::path::Path;
use std::time::Duration;

use flame_aws::CallError;
use flame_aws::backend::OutputStream;
use futures_util::StreamExt;

use crate::demo::{self, misbehaving, output};
use crate::{process, process_pool};

/// Has a child that prints and logs. The child's lines arrive on this program's standard error. The
/// call that prints is under way while the file `DEMO_STAY_WHILE_EXISTS` exists.
pub(super) async fn prints_and_logs() {
    if std::env::var_os("DEMO_SUBSCRIBER").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    let log = std::env::var_os("DEMO_NO_RUNNER_LOG").is_none();
    let pool = process_pool("prints").max(1).log(log).start().await.unwrap();
    let file = std::env::var_os("DEMO_STAY_WHILE_EXISTS").unwrap_or_default();
    pool.call(output::prints_and_waits("printed", Path::new(&file))).await.unwrap();
    pool.call(output::logs("logged")).await.unwrap();
    println!("runner {}", pool.snapshot().runners[0].runner);
    // The output ends with the child, so all of it has been read once the pool has drained.
    pool.drain().await;
}

/// Has a child whose functions block its runtime.
pub(super) async fn child_blocks_every_worker() {
    let pool = process_pool("blocks").max(1).keepalive_timeout(Duration::from_secs(1));
    let pool = pool.start().await.unwrap();
    pool.call(misbehaving::blocks_every_worker_briefly()).await.unwrap();
    pool.drain().await;
}

/// Does everything that a parent does while nobody reads its standard error, which its children
/// fill.
pub(super) async fn works_with_stderr_unread() {
    if std::env::var_os("DEMO_SUBSCRIBER").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let loud = process_pool("loud").max(1).start().await.unwrap();
    loud.call(output::prints_lines(1000)).await.unwrap();
    loud.call(output::logs_lines(1000)).await.unwrap();
    let late = loud.call(demo::forever().timeout(Duration::from_millis(100))).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    let other = process_pool("other").max(1).start().await.unwrap();
    let pid = other.call(demo::pid()).await.unwrap();
    process::drains_cleanly(&other, &[pid]).await;
    let dies = loud.call(misbehaving::dies()).await;
    assert!(matches!(dies, Err(CallError::RunnerLost { .. })), "{dies:?}");
    process::drains_cleanly(&loud, &[]).await;
    println!("drained");
}

/// Has a child that prints `DEMO_LINES` lines, and prints `ready` once the child has printed them.
/// Exits once the file `DEMO_STAY_WHILE_EXISTS` is gone.
pub(super) async fn child_floods_the_log() {
    let lines =
        std::env::var("DEMO_LINES").expect("the variable is set").parse().expect("a number");
    let pool = process_pool("floods").max(1).timeout(None).start().await.unwrap();
    pool.call(output::prints_lines(lines)).await.unwrap();
    println!("ready");
    if let Some(file) = std::env::var_os("DEMO_STAY_WHILE_EXISTS") {
        crate::until("the file is gone", || !Path::new(&file).exists()).await;
    }
    pool.drain().await;
}

/// Prints lines while its app prints metrics, and makes three calls.
pub(super) async fn prints_beside_metrics() {
    let printing = std::thread::spawn(|| (0..10_000).for_each(|n| println!("line {n} of the app")));
    let pool = process_pool("measured").max(1).start().await.unwrap();
    for n in 0..3 {
        assert_eq!(pool.call(demo::double(n)).await.unwrap(), 2 * n);
    }
    pool.drain().await;
    printing.join().unwrap();
}

/// The observations of `calls_in_a_storm_of_logs`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct LogStorm {
    /// By how much this process has grown, in KiB.
    pub grown: u64,
    /// The lines that were dropped.
    pub dropped: u64,
    /// The records that a listener missed that never read.
    pub missed: u64,
    /// The records that a listener received or missed that always read.
    pub heard: u64,
}

/// Makes calls while its children log and print as much as they can, and nobody reads the log.
/// Prints a [`LogStorm`].
pub(super) async fn calls_in_a_storm_of_logs() {
    let pool = process_pool("storm").max(2).max_concurrency(2).min_free_slots(2).start().await;
    let pool = pool.unwrap();
    assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    let (mut idle, mut busy) = (pool.logs(), pool.logs());
    let heard = tokio::spawn(async move {
        let mut heard = 0;
        while let Some(next) = busy.next().await {
            heard += next.map_or_else(|missed| missed.0, |_| 1);
        }
        heard
    });
    let me = std::process::id();
    let before = process::resident_kib(me);
    let storms: Vec<_> = (0..2).map(|_| pool.call(output::storms(3_000).timeout(None))).collect();
    let mut grown = 0;
    let calls = async {
        for number in 0..100 {
            assert_eq!(pool.call(demo::double(number)).await.unwrap(), number * 2);
            grown = grown.max(process::resident_kib(me).saturating_sub(before));
        }
    };
    let (stormed, ()) = tokio::join!(futures_util::future::join_all(storms), calls);
    stormed.into_iter().for_each(|ended| ended.unwrap());
    let grown = grown.max(process::resident_kib(me).saturating_sub(before));
    let missed = match idle.next().await {
        Some(Err(missed)) => missed.0,
        _ => 0,
    };
    let dropped = pool.dropped_log_lines();
    drop(idle);
    pool.drain().await;
    drop(pool);
    let storm = LogStorm { grown, dropped, missed, heard: heard.await.unwrap() };
    println!("{}", serde_json::to_string(&storm).expect("numbers"));
}

/// Has a child that says something at once, and reads it from the log of its call. Prints what it
/// reads.
pub(super) async fn reads_the_log_of_a_call() {
    let pool = process_pool("reads").max(1).start().await.unwrap();
    let all = pool.logs();
    let mut one = pool.place_child(output::logs("one")).await.unwrap();
    let mut other = pool.place_child(output::logs("other")).await.unwrap();
    for child in [&mut one, &mut other] {
        let mut logs = child.logs();
        let record = logs.next().await.unwrap().unwrap();
        assert_eq!((record.runner, record.call), (child.runner(), Some(child.call())));
        println!("{} {} {}", record.pool, record.level, record.text);
    }
    one.join().await.unwrap();
    other.join().await.unwrap();
    let printing = pool.place_child(demo::prints("printed")).await.unwrap();
    printing.join().await.unwrap();
    let printed = all.into_stream().filter_map(async |record| {
        let record = record.ok()?;
        Some((record.stream?, record.text))
    });
    let mut printed: Vec<_> = printed.take(2).collect().await;
    printed.sort_by_key(|(stream, _)| *stream == OutputStream::Stderr);
    printed.iter().for_each(|(stream, text)| println!("{stream:?} {text}"));
    pool.drain().await;
}

/// Has a child that logs an error and panics, with a coloured subscriber that `main` has set.
pub(super) async fn child_logs_errors() {
    let coloured = flame_aws::backend::Process::new().env("NO_COLOR", "");
    let pool = process_pool("levels").max(1).backend(coloured).start().await.unwrap();
    pool.call(output::logs_errors_and_panics()).await.unwrap();
    pool.drain().await;
}

/// Makes calls of each kind, before any runner is up, and reads what each of them logs. Prints what
/// it reads.
pub(super) async fn reads_the_logs_of_calls() {
    let pool = process_pool("calls").max(1).start().await.unwrap();
    let (one, other) = (pool.call(output::logs("one")), pool.call(output::logs("other")));
    let items = pool.stream(output::logs_items(vec!["first".to_owned(), "second".to_owned()]));
    let cast = pool.cast(output::logs("cast"));
    let logs = [one.logs(), other.logs(), items.logs(), cast.logs()];
    let (one, other, items, cast) = tokio::join!(one, other, items.count(), cast);
    one.unwrap();
    other.unwrap();
    cast.unwrap();
    assert_eq!(items, 2);
    for (logs, records) in logs.into_iter().zip([1, 1, 2, 1]) {
        let records = logs.into_stream().take(records).map(|record| record.unwrap().text);
        println!("{}", records.collect::<Vec<_>>().await.join(", "));
    }
    // No call waits for those who listen to it.
    let call = pool.call(output::logs_lines(3_000).timeout(None));
    let mut late = call.logs();
    call.await.unwrap();
    println!("{}", if late.next().await.unwrap().is_err() { "missed" } else { "kept" });
    pool.drain().await;
}
