//! The thread that computes the parent's part of TLS handshakes.
//!
//! Everybody who reaches the port of a parent can start a handshake, and its arithmetic takes about as
//! long as a call. On a thread of the runtime, it delays the calls of live pools. So it has a thread
//! of its own, which gives way to every other thread at once: on Linux it is in the class SCHED_IDLE.
//!
//! While other threads keep all processors busy, a thread of this class hardly runs. So a handshake
//! that it has not begun within [`PATIENCE`] is computed on a thread of the runtime.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use flame_wire::sync::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a handshake waits for the thread.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);

type Job = Box<dyn FnOnce() + Send>;

/// A handle to the thread, which ends when the handle is dropped.
pub(super) struct HandshakeThread {
    jobs: mpsc::Sender<Job>,
    /// How long a computation waits for the thread.
    patience: Duration,
}

impl HandshakeThread {
    pub(super) fn start(patience: Duration) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel::<Job>();
        thread::Builder::new().name("flame-handshake".to_owned()).spawn(move || {
            give_way_to_all();
            for job in received {
                // A panic fails one handshake: its answer is dropped.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        })?;
        Ok(Self { jobs, patience })
    }

    /// Computes something on the thread, or here if the thread does not begin in time. If the future
    /// is dropped before that, nothing is computed.
    ///
    /// # Errors
    /// If the computation panics on the thread.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let waiting = Arc::new(Mutex::new(Some(compute)));
        let (answer, mut answered) = oneshot::channel();
        let job = {
            let waiting = Arc::downgrade(&waiting);
            move || {
                let compute = waiting.upgrade().and_then(|waiting| waiting.lock().take());
                if let Some(compute) = compute {
                    let _ = answer.send(compute());
                }
            }
        };
        // Should the thread have ended, the computation is still there, and is done below.
        let _ = self.jobs.send(Box::new(job));
        let in_time = timeout(self.patience, &mut answered).await;
        if let Ok(Ok(answer)) = in_time {
            return Ok(answer);
        }
        let compute = waiting.lock().take();
        match (compute, in_time) {
            (Some(compute), _) => Ok(compute()),
            (None, Err(_)) => answered.await.map_err(|_| panicked()),
            (None, Ok(_)) => Err(panicked()),
        }
    }
}

fn panicked() -> io::Error {
    io::Error::other("the TLS library panicked")
}

#[cfg(target_os = "linux")]
fn give_way_to_all() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Where a sandbox forbids it, handshakes only take longer to give way.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
}

#[cfg(not(target_os = "linux"))]
fn give_way_to_all() {}

#[cfg(test)]
mod tests;
