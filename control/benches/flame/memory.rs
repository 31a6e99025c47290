//! The parent's memory for a queued call and for an idle runner, counted by the allocator.

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

/// Long enough for the link to send its acknowledgements and release its buffers.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) async fn measure() -> Figures {
    let mut figures = Figures::default();
    waiting_calls(&mut figures).await;
    waiting_tasks(&mut figures).await;
    idle_runners(&mut figures).await;
    figures
}

/// Measures calls that wait for a slot: each call's boxed future, and everything behind it.
async fn waiting_calls(figures: &mut Figures) {
    let (pool, busy) = occupied().await;
    let before = allocated();
    let waiting = (0..WAITING).map(|_| {
        let mut call = Box::pin(pool.call(echo(pools::payload(SMALL))));
        // The first poll puts the call into the queue.
        assert!((&mut call).now_or_never().is_none(), "the only slot is taken");
        call
    });
    let calls: Vec<_> = waiting.collect();
    all_queued(&pool).await;
    figures.set("bytes_per_waiting_call", bytes_each(WAITING, before));
    let future = calls.first().map_or(0, |call| size_of_val(&**call));
    figures.set("bytes_of_a_call_future", f64::from(u32::try_from(future).unwrap_or(u32::MAX)));
    drop(calls);
    busy.abort();
    pool.drain().await;
}

/// Measures queued calls in one task each, including the task and its handle.
async fn waiting_tasks(figures: &mut Figures) {
    let (pool, busy) = occupied().await;
    let before = allocated();
    let waiting = (0..WAITING).map(|_| tokio::spawn(pool.call(echo(pools::payload(SMALL)))));
    let tasks: Vec<_> = waiting.collect();
    all_queued(&pool).await;
    figures.set("bytes_per_waiting_task", bytes_each(WAITING, before));
    for task in tasks {
        task.abort();
    }
    busy.abort();
    pool.drain().await;
}

/// Returns a pool whose only slot is taken, and the task that takes it until it is aborted.
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
    assert_eq!(queued, Ok(WAITING), "not every call is queued");
}

/// Measures idle runners: 16 more beside one.
async fn idle_runners(figures: &mut Figures) {
    let pool = pools::cold(1 + IDLE, 1).await;
    naps(&pool, 1).await;
    let before = allocated();
    naps(&pool, 1 + IDLE).await;
    assert_eq!(pool.snapshot().up, 1 + IDLE, "not every runner is up");
    figures.set("bytes_per_idle_runner", bytes_each(IDLE, before));
    pool.drain().await;
}

/// Makes one call on each of `runners` runners at once, which boots them, and waits until they are
/// idle.
async fn naps(pool: &Pool, runners: u32) {
    for result in join_all((0..runners).map(|_| pool.call(nap(500)))).await {
        result.expect("a nap");
    }
    tokio::time::sleep(QUIET).await;
}

fn bytes_each(count: u32, before: usize) -> f64 {
    let more = allocated().wrapping_sub(before);
    f64::from(u32::try_from(more).expect("more bytes than before, and less than 4 GiB"))
        / f64::from(count)
}

fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// Bytes allocated and not yet freed.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// Starts or stops counting. Earlier allocations are missing from the count, so only differences
/// are meaningful.
pub(crate) fn set_counting(counts: bool) {
    IS_COUNTING.store(counts, Ordering::Relaxed);
}

/// The system's allocator, which counts only in the memory group, so that counting costs the other
/// groups nothing.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(bytes: usize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn shrunk(bytes: usize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        // Freeing earlier allocations wraps around; differences are still right.
        ALLOCATED.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only forwards to the system's"
)]
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
