//! The tasks of one backend: the driver of the [`Poller`], which tells of their deaths, and the
//! stopping of those that must end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::ids::RunnerRef;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::api::Api;
use super::classify;
use super::poller::{End, Every, Poller};
use super::task::{Log, Task};
use crate::backend::aws::class::Class;
use crate::backend::aws::fault::{Fault, Got};
use crate::backend::aws::pace::Pace;
use crate::backend::{BackendError, Death};

/// How long a stop may look first whether its task ends by itself.
const LOOK: Duration = Duration::from_secs(3);
/// How often StopTask is tried, when again, and until when: with the look all is within the 30 s that
/// a pool gives a stop, so that the pool learns why it failed.
const STOP_TRIES: u32 = 4;
const STOP_WITHIN: Duration = Duration::from_secs(25);
const STOP_PACE: Pace = Pace { first: Duration::from_millis(500), longest: Duration::from_secs(3) };

/// See the [module](self).
pub(super) struct Fleet {
    pub(super) api: Api,
    /// The container whose exit is told.
    container: String,
    log: Option<Log>,
    core: Mutex<Core>,
    /// The poller's time has changed.
    wake: Notify,
    /// Counts answers.
    answers: watch::Sender<u64>,
    runtime: Handle,
}

struct Core {
    poller: Poller,
    deaths: HashMap<String, watch::Sender<Option<Death>>>,
    /// The runners whose order is under way.
    ordered: HashSet<String>,
}

impl Fleet {
    /// An empty one, whose tasks run on the current runtime.
    pub(super) fn new(api: Api, container: String, log: Option<Log>, every: Every) -> Arc<Self> {
        let poller = Poller::new(every);
        let core = Core { poller, deaths: HashMap::new(), ordered: HashSet::new() };
        Arc::new(Self {
            api,
            container,
            log,
            core: Mutex::new(core),
            wake: Notify::new(),
            answers: watch::Sender::default(),
            runtime: Handle::current(),
        })
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order is under way, for as long as this is kept: what it makes is no stray.
    pub(super) fn order(self: &Arc<Self>, runner: RunnerRef) -> Ordered {
        self.core().ordered.insert(runner.to_string());
        Ordered { fleet: self.clone(), runner }
    }

    /// A task was ordered: from now on it is watched.
    pub(super) fn insert(&self, arn: &str) {
        let mut core = self.core();
        core.deaths.entry(arn.to_owned()).or_default();
        core.poller.insert(now(), arn.to_owned());
        drop(core);
        self.wake.notify_one();
    }

    /// Whether a task is one of these, or may yet become one.
    pub(super) fn knows(&self, task: &Task) -> bool {
        let runner = task.tags.get(super::sweep::RUNNER);
        let core = self.core();
        core.poller.knows(&task.arn) || runner.is_some_and(|runner| core.ordered.contains(runner))
    }

    /// Becomes its death; `None` for a task that is not watched, or no more.
    pub(super) fn death(&self, arn: &str) -> Option<watch::Receiver<Option<Death>>> {
        self.core().deaths.get(arn).map(watch::Sender::subscribe)
    }

    /// Asks for the tasks for as long as it is polled. Whatever fails, it goes on.
    pub(super) async fn keep_watch(self: Arc<Self>) {
        loop {
            let due = self.core().poller.poll_timeout(now());
            let woken = self.wake.notified();
            match due {
                None => woken.await,
                Some(due) => tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = woken => {}
                },
            }
            let batch = self.core().poller.next_batch(now());
            if let Some(batch) = batch {
                let answer = self.api.describe(&batch, false).await;
                self.answered(answer);
                self.answers.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    fn answered(self: &Arc<Self>, answer: Result<(Vec<Task>, Vec<String>), Fault>) {
        let mut core = self.core();
        let ended = match answer {
            Ok((known, unknown)) => core.poller.answered(now(), known, &unknown),
            Err(fault) => {
                core.poller.failed(now(), rand::random());
                drop(core);
                let advice = classify::advice(classify::of_fault(&fault), &fault);
                log_writer::event(move || {
                    tracing::warn!(%fault, advice, "ECS tasks can't be looked at; it is tried again");
                });
                return;
            }
        };
        for (arn, end) in ended {
            let death = match end {
                End::Seen(task) => task.death(&self.container, self.log.as_ref()),
                End::Unknown => {
                    // It is given up, so it must not be there, whatever DescribeTasks believes.
                    self.stop_in_passing(vec![arn.clone()], "flame: it was not seen any more");
                    Death::new("the ECS task is gone: ECS does not know it any more")
                }
            };
            if let Some(watchers) = core.deaths.remove(&arn) {
                watchers.send_replace(Some(death));
            }
        }
    }

    /// Ends a task, unless it is gone, or ends by itself.
    pub(super) async fn stop(&self, arn: &str, reason: &str) -> Result<(), BackendError> {
        // A runner that has said goodbye is on its way out, and needs no request to end. All that
        // are asked for at the same time are one request.
        let mut answers = self.answers.subscribe();
        self.core().poller.look_at(arn);
        self.wake.notify_one();
        let looked = async {
            while self.core().poller.is_waited_for(arn) && answers.changed().await.is_ok() {}
        };
        let _ = timeout(LOOK, looked).await;
        if self.core().poller.is_ending(arn) != Some(false) {
            return Ok(());
        }
        self.tell_to_stop(arn, reason).await
    }

    async fn tell_to_stop(&self, arn: &str, reason: &str) -> Result<(), BackendError> {
        let until = Instant::now() + STOP_WITHIN;
        let mut failed = 0;
        loop {
            let late = |_| {
                let message = format!("no answer came within {STOP_WITHIN:?}");
                Err(Fault { message, ..Fault::new(Got::NoAnswer) })
            };
            let stopped = timeout_at(until, self.api.stop_task(arn, reason)).await;
            let Err(fault) = stopped.unwrap_or_else(late) else {
                self.core().poller.told_to_stop(arn);
                self.wake.notify_one();
                return Ok(());
            };
            failed += 1;
            let class = classify::of_fault(&fault);
            // To stop twice is to stop.
            let may = matches!(class, Class::Throttled | Class::Transient | Class::Conflict);
            let pause = STOP_PACE.pause(failed, rand::random());
            let again = Instant::now() + pause.max(fault.retry_after.unwrap_or_default());
            if !may || failed == STOP_TRIES || again >= until {
                let advice = classify::advice(class, &fault);
                return Err(BackendError::new(format!(
                    "StopTask of {arn} failed: {fault}; {advice}"
                )));
            }
            sleep_until(again).await;
        }
    }

    /// Tells all that are left to stop, without waiting: nobody is there any more to do it.
    pub(super) fn abandon(self: &Arc<Self>) {
        let left: Vec<_> = self.core().poller.tasks().map(str::to_owned).collect();
        self.stop_in_passing(left, "flame: its pool is gone");
    }

    fn stop_in_passing(self: &Arc<Self>, arns: Vec<String>, reason: &'static str) {
        if arns.is_empty() {
            return;
        }
        let fleet = self.clone();
        self.runtime.spawn(async move {
            for arn in arns {
                if let Err(error) = fleet.tell_to_stop(&arn, reason).await {
                    log_writer::event(
                        move || tracing::error!(%error, "an ECS task may be left over"),
                    );
                }
            }
        });
    }
}

/// See [`Fleet::order`].
pub(super) struct Ordered {
    fleet: Arc<Fleet>,
    runner: RunnerRef,
}

impl Drop for Ordered {
    fn drop(&mut self) {
        self.fleet.core().ordered.remove(&self.runner.to_string());
    }
}

pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests;
