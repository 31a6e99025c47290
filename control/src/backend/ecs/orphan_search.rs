//! The driver of the [`Sweep`]: lists tasks, looks up their parents, and finds orphans.

use std::collections::{BTreeMap, HashMap};

use flame_runner_shim::log_writer;

use super::api::{Api, MAX_PAGES};
use super::classify;
use super::poller::MAX_BATCH;
use super::task::Task;
use super::task_monitor::now;
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class::{self, ErrorClass};
use crate::backend::sweep::{POOL_TAG, ParentStatus, RUNNER_TAG, Rule, Scan, Sweep, unix_now};

/// Looks for orphans among the tasks of a cluster.
pub(super) struct OrphanSearch {
    api: Api,
    /// The family of the tasks; `None` for all tasks of the cluster.
    family: Option<String>,
    sweep: Sweep,
    /// The page of the list at which the next scan starts; `None` is the first page.
    next_page: Option<String>,
    /// Whether the log already says that parents may not be looked up.
    denied: bool,
}

/// A task that is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) arn: String,
    /// The tags of its pool and runner.
    pub(super) pool: String,
    pub(super) runner: String,
    pub(super) reason: &'static str,
}

/// The result of one scan.
#[derive(Debug)]
pub(super) struct Scanned {
    /// How many tasks were described.
    pub(super) tasks: usize,
    /// Whether some tasks could not be listed or described.
    pub(super) has_gaps: bool,
    /// Whether the list of tasks is at its end.
    pub(super) ends_round: bool,
    /// The orphans that are to be stopped.
    pub(super) orphans: Vec<Orphan>,
}

impl OrphanSearch {
    pub(super) fn new(api: Api, family: Option<String>, rule: Rule) -> Self {
        Self { api, family, sweep: Sweep::new(rule), next_page: None, denied: false }
    }

    /// Scans the next tasks of the list: at most [`MAX_PAGES`] pages, from where the last scan
    /// stopped. Tasks that are `known` are not orphans.
    pub(super) async fn scan(
        &mut self,
        known: &(dyn Fn(&Task) -> bool + Sync),
    ) -> Result<Scanned, ApiError> {
        let mut tasks = Vec::new();
        let (mut ends_round, mut has_gaps) = (false, false);
        for _ in 0..MAX_PAGES {
            let page = match self.api.tasks(self.family.as_deref(), self.next_page.clone()).await {
                Ok(page) => page,
                Err(error) if error_class::is_denied(&error) || self.next_page.is_none() => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(%error, "a page of tasks could not be listed");
                    has_gaps = true;
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
                Err(error) => {
                    tracing::debug!(%error, "some tasks could not be described");
                    has_gaps = true;
                }
            }
            self.next_page = page.next;
            if self.next_page.is_none() {
                ends_round = true;
                break;
            }
        }
        let orphans = self.orphans_among(&tasks, ends_round, known).await;
        Ok(Scanned { tasks: tasks.len(), has_gaps, ends_round, orphans })
    }

    /// How many tasks the scans have marked as orphans.
    pub(super) fn marked(&self) -> usize {
        self.sweep.marked().count()
    }

    /// Scans only the tasks that are marked, as a round of its own.
    pub(super) async fn scan_marked(&mut self) -> Result<Vec<Orphan>, ApiError> {
        let marked: Vec<_> = self.sweep.marked().map(str::to_owned).collect();
        let tasks = self.described(&marked).await?;
        Ok(self.orphans_among(&tasks, true, &|_| false).await)
    }

    async fn orphans_among(
        &mut self,
        tasks: &[Task],
        ends_round: bool,
        known: &(dyn Fn(&Task) -> bool + Sync),
    ) -> Vec<Orphan> {
        let parents = &self.look_up(self.sweep.parents_of(tasks)).await;
        let (now, unix) = (now(), unix_now());
        let stop = self.sweep.scan(&Scan { now, unix, listed: tasks, ends_round, known, parents });
        let orphan = |(arn, reason)| {
            let task = tasks.iter().find(|task| task.arn == arn);
            let tag = |name| task.and_then(|task| task.tags.get(name)).cloned();
            let tag = |name| tag(name).unwrap_or_default();
            Orphan { pool: tag(POOL_TAG), runner: tag(RUNNER_TAG), arn, reason }
        };
        stop.into_iter().map(orphan).collect()
    }

    async fn described(&self, arns: &[String]) -> Result<Vec<Task>, ApiError> {
        let mut tasks = Vec::new();
        for batch in arns.chunks(MAX_BATCH) {
            tasks.extend(self.api.describe(batch, true).await?.0);
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
                match self.api.describe_in(&cluster, batch, false).await {
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

/// Stops an orphan, and logs that it was stopped, or why not. Returns whether it was stopped.
pub(super) async fn stop(api: &Api, orphan: Orphan) -> bool {
    let stopped = api.stop_task(&orphan.arn, orphan.reason).await;
    let is_stopped = stopped.is_ok();
    log_writer::event(move || {
        let Orphan { arn, pool, runner, reason } = orphan;
        match stopped {
            Ok(()) => {
                tracing::warn!(task = arn, pool, runner, reason, "stopped an orphaned runner");
            }
            Err(error) => {
                let advice = classify::advice(classify::of_error(&error), &error);
                let message = "could not stop an orphaned runner";
                tracing::warn!(task = arn, pool, runner, %error, advice, "{message}");
            }
        }
    });
    is_stopped
}

/// The cluster in a task's ARN: `arn:aws:ecs:region:account:task/cluster/id`.
fn cluster_of(arn: &str) -> Option<&str> {
    let (_, rest) = arn.split_once(":task/")?;
    rest.split_once('/').map(|(cluster, _)| cluster)
}

#[cfg(test)]
mod tests;
