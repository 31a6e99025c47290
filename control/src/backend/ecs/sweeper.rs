//! The driver of the [`Sweep`]: lists tasks, looks up their parents, and stops orphans.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flame_runner_shim::log_writer;
use tokio::time::sleep;

use super::api::MAX_PAGES;
use super::classify;
use super::poller::MAX_BATCH;
use super::sweep::{ParentStatus, Rule, Scan, Sweep};
use super::task::Task;
use super::task_monitor::{TaskMonitor, now};
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class::{self, ErrorClass};

/// Looks for orphans of one pool among the tasks of its task definition's family.
pub(super) struct Sweeper {
    monitor: Arc<TaskMonitor>,
    family: String,
    every: Duration,
    sweep: Sweep,
    /// The page of the list at which the next scan starts; `None` is the first page.
    next_page: Option<String>,
    /// Whether the log already says that parents may not be looked up.
    denied: bool,
}

impl Sweeper {
    pub(super) fn new(monitor: Arc<TaskMonitor>, family: String, rule: Rule) -> Self {
        let (every, sweep) = (rule.pause, Sweep::new(rule));
        Self { monitor, family, every, sweep, next_page: None, denied: false }
    }

    /// Sweeps now and at regular intervals, until the future is dropped. Returns if this process
    /// may not list tasks.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            match self.scan().await {
                Ok(orphans) => stop(&self.monitor, orphans).await,
                Err(error) if error_class::is_denied(&error) => {
                    log_writer::event(move || {
                        tracing::warn!(
                            %error,
                            "this process does not look for orphaned runners, since it may not \
                             list tasks; allow ecs:ListTasks and ecs:DescribeTasks"
                        );
                    });
                    return;
                }
                Err(error) => tracing::debug!(%error, "the search for orphaned runners failed"),
            }
            // Jitter keeps several parents from scanning at the same time.
            sleep(self.every + self.every.mul_f64(rand::random_range(0.0..0.1))).await;
        }
    }

    /// The orphans among the next tasks of the list: at most [`MAX_PAGES`] pages, from where the
    /// last scan stopped.
    async fn scan(&mut self) -> Result<Vec<(String, &'static str)>, ApiError> {
        let monitor = self.monitor.clone();
        let mut tasks = Vec::new();
        let mut ends_round = false;
        for _ in 0..MAX_PAGES {
            let page = match monitor.api.of_family(&self.family, self.next_page.clone()).await {
                Ok(page) => page,
                Err(error) if error_class::is_denied(&error) || self.next_page.is_none() => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(%error, "a page of tasks could not be listed");
                    // A page token that ECS rejects has expired.
                    if classify::of_error(&error) == ErrorClass::Misconfigured {
                        self.next_page = None;
                    }
                    break;
                }
            };
            match self.described(&page.arns).await {
                Ok(described) => tasks.extend(described),
                Err(error) if error_class::is_denied(&error) => return Err(error),
                Err(error) => tracing::debug!(%error, "some tasks could not be described"),
            }
            self.next_page = page.next;
            if self.next_page.is_none() {
                ends_round = true;
                break;
            }
        }
        let parents = self.look_up(self.sweep.parents_of(&tasks)).await;
        let known = |task: &Task| monitor.knows(task);
        let (tasks, known, parents) = (tasks.as_slice(), &known, &parents);
        let (now, unix) = (now(), unix_now());
        Ok(self.sweep.scan(&Scan { now, unix, tasks, ends_round, known, parents }))
    }

    async fn described(&self, arns: &[String]) -> Result<Vec<Task>, ApiError> {
        let mut tasks = Vec::new();
        for batch in arns.chunks(MAX_BATCH) {
            tasks.extend(self.monitor.api.describe(batch, true).await?.0);
        }
        Ok(tasks)
    }

    /// The states of the parents' tasks. Tasks that can't be looked up are left out.
    async fn look_up(&mut self, parents: Vec<String>) -> HashMap<String, ParentStatus> {
        let mut clusters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for arn in parents {
            if let Some(cluster) = cluster_of(&arn) {
                clusters.entry(cluster.to_owned()).or_default().push(arn);
            }
        }
        let mut known = HashMap::new();
        for (cluster, arns) in clusters {
            for batch in arns.chunks(MAX_BATCH) {
                match self.monitor.api.describe_in(&cluster, batch, false).await {
                    Ok((tasks, missing)) => {
                        known.extend(missing.into_iter().map(|arn| (arn, ParentStatus::Dead)));
                        known.extend(tasks.into_iter().map(|task| {
                            let state = if task.is_over() {
                                ParentStatus::Dead
                            } else {
                                ParentStatus::Alive
                            };
                            (task.arn, state)
                        }));
                    }
                    Err(error) => self.look_up_failed(&cluster, &error),
                }
            }
        }
        known
    }

    fn look_up_failed(&mut self, cluster: &str, error: &ApiError) {
        if error_class::is_denied(error) && !std::mem::replace(&mut self.denied, true) {
            let (cluster, error) = (cluster.to_owned(), error.clone());
            log_writer::event(move || {
                tracing::warn!(
                    cluster,
                    %error,
                    "orphaned runners whose parents ran in this cluster are not found, since this \
                     process may not look those parents up; allow ecs:DescribeTasks on the \
                     cluster's tasks"
                );
            });
        } else {
            tracing::debug!(cluster, %error, "the tasks of parents could not be described");
        }
    }
}

async fn stop(monitor: &TaskMonitor, orphans: Vec<(String, &'static str)>) {
    for (arn, reason) in orphans {
        match monitor.api.stop_task(&arn, reason).await {
            Ok(()) => log_writer::event(move || {
                tracing::warn!(task = arn, reason, "stopped an orphaned runner");
            }),
            Err(error) => {
                let advice = classify::advice(classify::of_error(&error), &error);
                log_writer::event(move || {
                    tracing::warn!(task = arn, %error, advice, "could not stop an orphaned runner");
                });
            }
        }
    }
}

/// The cluster in a task's ARN: `arn:aws:ecs:region:account:task/cluster/id`.
fn cluster_of(arn: &str) -> Option<&str> {
    let (_, rest) = arn.split_once(":task/")?;
    rest.split_once('/').map(|(cluster, _)| cluster)
}

/// Seconds of Unix time.
#[expect(clippy::disallowed_methods, reason = "AWS and other parents use this clock")]
pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
