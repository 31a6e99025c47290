//! What the parent keeps of a waiting call, and of an idle runner, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flame_aws::Pool;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::figures::Figures;
use crate::functions::{echo, nap};
use crate::pools::{self, SMALL};

const WAITING: u32 = 10_000;
const IDLE: u32 = 16;

/// Long enough for acknowledgements and the like to be done with.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) async fn measure() -> Figures {
    let mut figures = Figures::default();
    waiting_calls(&mut figures).await;
    waiting_tasks(&mut figures).await;
    idle_runners(&mut figures).await;
    figures
}

/// A call that waits for a slot: its future, in a box of its own, and all behind it.
async fn waiting_calls(figures: &mut Figures) {
    let (pool, busy) = occupied().await;
    let before = live();
    let waiting = (0..WAITING).map(|_| {
        let mut call = Box::pin(pool.call(echo(pools::payload(SMALL))));
        // Polled once, so that it stands in the queue.
        assert!((&mut call).now_or_never().is_none(), "the only slot is taken");
        call
    });
    let calls: Vec<_> = waiting.collect();
    all_queued(&pool).await;
    figures.set("bytes_per_waiting_call", per(WAITING, before));
    let future = calls.first().map_or(0, |call| size_of_val(&**call));
    figures.set("bytes_of_a_call_future", f64::from(u32::try_from(future).unwrap_or(u32::MAX)));
    drop(calls);
    busy.abort();
    pool.drain().await;
}

/// The same in a task each, the task and its handle included.
async fn waiting_tasks(figures: &mut Figures) {
    let (pool, busy) = occupied().await;
    let before = live();
    let waiting = (0..WAITING).map(|_| tokio::spawn(pool.call(echo(pools::payload(SMALL)))));
    let tasks: Vec<_> = waiting.collect();
    all_queued(&pool).await;
    figures.set("bytes_per_waiting_task", per(WAITING, before));
    for task in tasks {
        task.abort();
    }
    busy.abort();
    pool.drain().await;
}

/// A pool whose only slot is taken, and what takes it until it is aborted.
async fn occupied() -> (Pool, JoinHandle<()>) {
    let pool = pools::warm(1, 1).await;
    let busy = pool.call(nap(60_000));
    let busy = tokio::spawn(async {
        let _ = busy.await;
    });
    tokio::time::sleep(QUIET).await;
    (pool, busy)
}

async fn all_queued(pool: &Pool) {
    tokio::time::sleep(QUIET).await;
    let queued = u32::try_from(pool.snapshot().queued);
    assert_eq!(queued, Ok(WAITING), "every call waits for the slot");
}

/// A runner that is up and has nothing to do: 16 more of them beside one.
async fn idle_runners(figures: &mut Figures) {
    let pool = pools::cold(1 + IDLE, 1).await;
    naps(&pool, 1).await;
    let before = live();
    naps(&pool, 1 + IDLE).await;
    assert_eq!(pool.snapshot().up, 1 + IDLE, "all are up");
    figures.set("bytes_per_idle_runner", per(IDLE, before));
    pool.drain().await;
}

/// A slot each, all at once: boots as many runners, then leaves them alone.
async fn naps(pool: &Pool, runners: u32) {
    for result in join_all((0..runners).map(|_| pool.call(nap(500)))).await {
        result.expect("a nap");
    }
    tokio::time::sleep(QUIET).await;
}

fn per(things: u32, before: usize) -> f64 {
    let more = live().wrapping_sub(before);
    f64::from(u32::try_from(more).expect("more bytes than before, and less than 4 GiB"))
        / f64::from(things)
}

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Bytes allocated and not yet freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Whether to count. What was allocated before is missing from the count, so only differences
/// mean anything.
pub(crate) fn count(whether: bool) {
    COUNTS.store(whether, Ordering::Relaxed);
}

/// The system's allocator, with a count where one is wanted: the other groups are not to pay.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn shrunk(bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        // Wraps for what was allocated before counting began; differences come out right.
        LIVE.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; all it does is the system's")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrunk(layout.size());
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrunk(layout.size());
        grown(size);
        unsafe { System.realloc(block, layout, size) }
    }
}
