//! The driver of the [`Sweep`]: looks, asks after parents, stops.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flame_runner_shim::log_writer;
use tokio::time::sleep;

use super::api::PAGES;
use super::classify;
use super::fleet::{Fleet, now};
use super::poller::BATCH;
use super::sweep::{Look, ParentTask, Rule, Sweep};
use super::task::Task;
use crate::backend::aws::class::{self, Class};
use crate::backend::aws::fault::Fault;

/// Looks for the orphans of one pool, among the tasks of its family.
pub(super) struct Sweeper {
    fleet: Arc<Fleet>,
    family: String,
    every: Duration,
    sweep: Sweep,
    /// Where the next look begins; none: with the first task.
    from: Option<String>,
    /// That parents may not be asked after was said.
    denied: bool,
}

impl Sweeper {
    pub(super) fn new(fleet: Arc<Fleet>, family: String, rule: Rule) -> Self {
        let (every, sweep) = (rule.pause, Sweep::new(rule));
        Self { fleet, family, every, sweep, from: None, denied: false }
    }

    /// Sweeps at once, and then every so often, for as long as it is polled. Ends where it is not
    /// allowed to.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            match self.look().await {
                Ok(orphans) => stop(&self.fleet, orphans).await,
                Err(fault) if class::is_denied(&fault) => {
                    let why = "orphans are not looked for: this process may not list tasks";
                    log_writer::event(move || {
                        tracing::warn!(%fault, "{why}; allow ecs:ListTasks and ecs:DescribeTasks");
                    });
                    return;
                }
                Err(fault) => tracing::debug!(%fault, "orphans can't be looked for; later"),
            }
            // Several parents need not look at the same time.
            sleep(self.every + self.every.mul_f64(rand::random_range(0.0..0.1))).await;
        }
    }

    /// The orphans among the tasks from where the last look has stopped, [`PAGES`] pages at most.
    async fn look(&mut self) -> Result<Vec<(String, &'static str)>, Fault> {
        let fleet = self.fleet.clone();
        let mut tasks = Vec::new();
        let mut ends_round = false;
        for _ in 0..PAGES {
            let page = match fleet.api.of_family(&self.family, self.from.clone()).await {
                Ok(page) => page,
                Err(fault) if class::is_denied(&fault) || self.from.is_none() => return Err(fault),
                Err(fault) => {
                    tracing::debug!(%fault, "no more tasks can be listed; later");
                    // A place in a list that is refused is too old.
                    if classify::of_fault(&fault) == Class::Config {
                        self.from = None;
                    }
                    break;
                }
            };
            match self.described(&page.arns).await {
                Ok(described) => tasks.extend(described),
                Err(fault) if class::is_denied(&fault) => return Err(fault),
                Err(fault) => tracing::debug!(%fault, "some tasks can't be looked at; later"),
            }
            self.from = page.next;
            if self.from.is_none() {
                ends_round = true;
                break;
            }
        }
        let parents = self.ask_after(self.sweep.parents_of(&tasks)).await;
        let known = |task: &Task| fleet.knows(task);
        let (tasks, known, parents) = (tasks.as_slice(), &known, &parents);
        let (now, unix) = (now(), wall_clock());
        Ok(self.sweep.look(&Look { now, unix, tasks, ends_round, known, parents }))
    }

    async fn described(&self, arns: &[String]) -> Result<Vec<Task>, Fault> {
        let mut tasks = Vec::new();
        for batch in arns.chunks(BATCH) {
            tasks.extend(self.fleet.api.describe(batch, true).await?.0);
        }
        Ok(tasks)
    }

    /// What is known of the tasks of parents; those that can't be asked for are left out.
    async fn ask_after(&mut self, parents: Vec<String>) -> HashMap<String, ParentTask> {
        let mut clusters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for arn in parents {
            if let Some(cluster) = cluster_of(&arn) {
                clusters.entry(cluster.to_owned()).or_default().push(arn);
            }
        }
        let mut known = HashMap::new();
        for (cluster, arns) in clusters {
            for batch in arns.chunks(BATCH) {
                match self.fleet.api.describe_in(&cluster, batch, false).await {
                    Ok((tasks, missing)) => {
                        known.extend(missing.into_iter().map(|arn| (arn, ParentTask::Dead)));
                        known.extend(tasks.into_iter().map(|task| {
                            let state =
                                if task.is_over() { ParentTask::Dead } else { ParentTask::Alive };
                            (task.arn, state)
                        }));
                    }
                    Err(fault) => self.can_not_ask(&cluster, &fault),
                }
            }
        }
        known
    }

    fn can_not_ask(&mut self, cluster: &str, fault: &Fault) {
        if class::is_denied(fault) && !std::mem::replace(&mut self.denied, true) {
            let (cluster, fault) = (cluster.to_owned(), fault.clone());
            log_writer::event(move || {
                tracing::warn!(
                    cluster,
                    %fault,
                    "orphans of parents in that cluster are not found: this process may not ask \
                     whether these live; allow ecs:DescribeTasks for its tasks"
                );
            });
        } else {
            tracing::debug!(cluster, %fault, "parents can't be asked after; later");
        }
    }
}

async fn stop(fleet: &Fleet, orphans: Vec<(String, &'static str)>) {
    for (arn, why) in orphans {
        match fleet.api.stop_task(&arn, why).await {
            Ok(()) => log_writer::event(move || {
                tracing::warn!(task = arn, why, "an orphaned runner is stopped");
            }),
            Err(fault) => {
                let advice = classify::advice(classify::of_fault(&fault), &fault);
                log_writer::event(move || {
                    tracing::warn!(task = arn, %fault, advice, "an orphaned runner can't be stopped");
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
#[expect(clippy::disallowed_methods, reason = "AWS and other parents tell times by this clock")]
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
