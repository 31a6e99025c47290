//! The running tasks of one pool: drives the [`Poller`], records deaths, and stops tasks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::backoff::Backoff;
use flame_wire::ids::RunnerRef;
use flame_wire::sync::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::api::Api;
use super::classify;
use super::poller::{NotWatched, PollIntervals, Poller, TaskEnd};
use super::task::{LogLocation, Task};
use crate::backend::aws::api_error::{ApiError, ApiErrorKind};
use crate::backend::aws::error_class::ErrorClass;
use crate::backend::aws::jittered_backoff;
use crate::backend::sweep::RUNNER_TAG;
use crate::backend::{BackendError, BootTimes, Death, Instance, InstanceTable};

/// How long a stop first polls whether its task is ending by itself.
const POLL_BEFORE_STOP: Duration = Duration::from_secs(3);
/// How often StopTask is called, for how long in all, and the delays in between. With the poll
/// before it a stop stays within the 30 s that a pool waits, so that the pool learns why it failed.
const STOP_ATTEMPTS: u32 = 4;
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
const STOP_BACKOFF: Backoff = jittered_backoff(Duration::from_millis(500), Duration::from_secs(3));

/// See the [module](self).
pub(super) struct TaskMonitor {
    pub(super) api: Api,
    /// The app's container, whose exit code is reported.
    container: String,
    log: Option<LogLocation>,
    pub(super) tasks: InstanceTable<()>,
    state: Mutex<MonitorState>,
    /// Notified when the next poll may be due earlier.
    wake: Notify,
    /// Counts the polls that were answered.
    polls: watch::Sender<u64>,
    runtime: Handle,
}

struct MonitorState {
    poller: Poller,
    /// The runners that are being booted.
    launching: HashSet<String>,
}

impl TaskMonitor {
    /// A monitor without tasks, which runs on the current runtime.
    pub(super) fn new(
        api: Api,
        container: String,
        log: Option<LogLocation>,
        intervals: PollIntervals,
    ) -> Arc<Self> {
        let poller = Poller::new(intervals);
        let state = MonitorState { poller, launching: HashSet::new() };
        Arc::new(Self {
            api,
            container,
            log,
            tasks: InstanceTable::new(),
            state: Mutex::new(state),
            wake: Notify::new(),
            polls: watch::Sender::default(),
            runtime: Handle::current(),
        })
    }

    fn state(&self) -> MutexGuard<'_, MonitorState> {
        self.state.lock()
    }

    /// Marks a boot as under way until the guard is dropped, so that its task is not taken for a
    /// stray.
    pub(super) fn begin_launch(self: &Arc<Self>, runner: RunnerRef) -> LaunchGuard {
        self.state().launching.insert(runner.to_string());
        LaunchGuard { monitor: self.clone(), runner }
    }

    /// Watches a task that was launched.
    pub(super) fn insert(&self, arn: &str) {
        self.tasks.insert(Instance::new(arn), ());
        self.state().poller.insert(now(), arn.to_owned());
        self.wake.notify_one();
    }

    /// Whether the task is watched, or belongs to a boot that is under way.
    pub(super) fn knows(&self, task: &Task) -> bool {
        let runner = task.tags.get(RUNNER_TAG);
        let state = self.state();
        state.poller.knows(&task.arn)
            || runner.is_some_and(|runner| state.launching.contains(runner))
    }

    /// Polls the tasks until the future is dropped, whatever fails.
    pub(super) async fn keep_polling(self: Arc<Self>) {
        loop {
            let due = self.state().poller.poll_timeout(now());
            let woken = self.wake.notified();
            match due {
                None => woken.await,
                Some(due) => tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = woken => {}
                },
            }
            let batch = self.state().poller.next_batch(now());
            if let Some(batch) = batch {
                let response = self.api.describe(&batch, false).await;
                self.answered(response);
                self.polls.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    fn answered(self: &Arc<Self>, response: Result<(Vec<Task>, Vec<String>), ApiError>) {
        let ended = match response {
            Ok((known, unknown)) => self.state().poller.answered(now(), known, &unknown),
            Err(error) => {
                self.state().poller.failed(now(), rand::random());
                let advice = classify::advice(classify::of_error(&error), &error);
                log_writer::event(move || {
                    tracing::warn!(%error, advice, "the pool's ECS tasks can't be polled; retrying");
                });
                return;
            }
        };
        for (arn, end) in ended {
            let death = match end {
                TaskEnd::Stopped(task) => task.death(&self.container, self.log.as_ref()),
                TaskEnd::Unknown => {
                    // The task is given up, so it must not run, whatever DescribeTasks reports.
                    self.stop_in_background(
                        vec![arn.clone()],
                        "flame: ECS no longer knew the task",
                    );
                    Death::new("the ECS task is gone: ECS no longer knows it")
                }
            };
            self.tasks.record_death(&Instance::new(arn), death);
        }
    }

    /// The parts of a task's boot. Waits until ECS has reported them, or the task is gone.
    pub(super) async fn boot_times(&self, arn: &str) -> BootTimes {
        let mut polls = self.polls.subscribe();
        loop {
            match self.state().poller.boot_times(arn) {
                Ok(Some(times)) => return times,
                Ok(None) => {}
                Err(NotWatched) => return BootTimes::default(),
            }
            if polls.changed().await.is_err() {
                return BootTimes::default();
            }
        }
    }

    /// Stops a task, unless it has ended or is ending by itself.
    pub(super) async fn stop(&self, arn: &str, reason: &str) -> Result<(), BackendError> {
        // A runner that has said goodbye is exiting and needs no StopTask. One poll serves all
        // tasks that are stopped at the same time.
        let mut polls = self.polls.subscribe();
        self.state().poller.poll_now(arn);
        self.wake.notify_one();
        let polled = async {
            while self.state().poller.is_poll_pending(arn) && polls.changed().await.is_ok() {}
        };
        let _ = timeout(POLL_BEFORE_STOP, polled).await;
        if self.state().poller.is_ending(arn) != Some(false) {
            return Ok(());
        }
        self.tell_to_stop(arn, reason).await
    }

    async fn tell_to_stop(&self, arn: &str, reason: &str) -> Result<(), BackendError> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut failures = 0;
        loop {
            let timed_out = |_| {
                let message = format!("ECS did not respond within {STOP_TIMEOUT:?}");
                Err(ApiError { message, ..ApiError::new(ApiErrorKind::NoResponse) })
            };
            let stopped = timeout_at(deadline, self.api.stop_task(arn, reason)).await;
            let Err(error) = stopped.unwrap_or_else(timed_out) else {
                self.state().poller.mark_stopping(arn);
                self.wake.notify_one();
                return Ok(());
            };
            failures += 1;
            let class = classify::of_error(&error);
            // StopTask is idempotent, so even an ambiguous failure may be retried.
            let may_pass = matches!(
                class,
                ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::Conflict
            );
            let delay = STOP_BACKOFF.pause(failures, rand::random());
            let retry_at = Instant::now() + delay.max(error.retry_after.unwrap_or_default());
            if !may_pass || failures == STOP_ATTEMPTS || retry_at >= deadline {
                let advice = classify::advice(class, &error);
                return Err(BackendError::new(format!(
                    "StopTask of {arn} failed: {error}; {advice}"
                )));
            }
            sleep_until(retry_at).await;
        }
    }

    /// Tells all watched tasks to stop, in the background: the pool is gone, so no caller waits.
    pub(super) fn stop_all(self: &Arc<Self>) {
        let tasks: Vec<_> = self.state().poller.tasks().map(str::to_owned).collect();
        self.stop_in_background(tasks, "flame: its pool is gone");
    }

    fn stop_in_background(self: &Arc<Self>, arns: Vec<String>, reason: &'static str) {
        if arns.is_empty() {
            return;
        }
        let monitor = self.clone();
        self.runtime.spawn(async move {
            for arn in arns {
                if let Err(error) = monitor.tell_to_stop(&arn, reason).await {
                    log_writer::event(move || {
                        tracing::error!(%error, "an ECS task may still run, and cost");
                    });
                }
            }
        });
    }
}

/// See [`TaskMonitor::begin_launch`].
pub(super) struct LaunchGuard {
    monitor: Arc<TaskMonitor>,
    runner: RunnerRef,
}

impl Drop for LaunchGuard {
    fn drop(&mut self) {
        self.monitor.state().launching.remove(&self.runner.to_string());
    }
}

pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests;
