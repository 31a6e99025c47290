//! The driver of the [`Sweep`]: looks, asks after parents, stops.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::classify;
use super::fleet::{Fleet, now};
use super::poller::BATCH;
use super::sweep::{Look, ParentTask, Rule, Sweep};
use super::task::Task;
use crate::backend::aws::class;
use crate::backend::aws::fault::Fault;

/// Looks for the orphans of one pool, among the tasks of its family.
pub(super) struct Sweeper {
    fleet: Arc<Fleet>,
    family: String,
    every: Duration,
    sweep: Sweep,
    /// That parents may not be asked after was said.
    denied: bool,
}

impl Sweeper {
    pub(super) fn new(fleet: Arc<Fleet>, family: String, rule: Rule) -> Self {
        Self { fleet, family, every: rule.pause, sweep: Sweep::new(rule), denied: false }
    }

    /// Sweeps at once, and then every so often, for as long as it is polled. Ends where it is not
    /// allowed to.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            match self.look().await {
                Ok(orphans) => stop(&self.fleet, orphans).await,
                Err(fault) if class::is_denied(&fault) => {
                    let why = "orphans are not looked for: this process may not list tasks";
                    tracing::warn!(%fault, "{why}; allow ecs:ListTasks and ecs:DescribeTasks");
                    return;
                }
                Err(fault) => tracing::debug!(%fault, "orphans can't be looked for; later"),
            }
            // Several parents need not look at the same time.
            sleep(self.every + self.every.mul_f64(rand::random_range(0.0..0.1))).await;
        }
    }

    async fn look(&mut self) -> Result<Vec<(String, &'static str)>, Fault> {
        let fleet = self.fleet.clone();
        let mut tasks = Vec::new();
        for batch in fleet.api.of_family(&self.family).await?.chunks(BATCH) {
            tasks.extend(fleet.api.describe(batch, true).await?.0);
        }
        let parents = self.ask_after(self.sweep.parents_of(&tasks)).await;
        let known = |task: &Task| fleet.knows(task);
        let look = Look {
            now: now(),
            unix: wall_clock(),
            tasks: &tasks,
            known: &known,
            parents: &parents,
        };
        Ok(self.sweep.look(&look))
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
            tracing::warn!(
                cluster,
                %fault,
                "orphans of parents in that cluster are not found: this process may not ask whether \
                 these live; allow ecs:DescribeTasks for its tasks"
            );
        } else {
            tracing::debug!(cluster, %fault, "parents can't be asked after; later");
        }
    }
}

async fn stop(fleet: &Fleet, orphans: Vec<(String, &'static str)>) {
    for (arn, why) in orphans {
        match fleet.api.stop_task(&arn, why).await {
            Ok(()) => tracing::warn!(task = arn, why, "an orphaned runner is stopped"),
            Err(fault) => {
                let advice = classify::advice(classify::of_fault(&fault), &fault);
                tracing::warn!(task = arn, %fault, advice, "an orphaned runner can't be stopped");
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
mod tests {
    use super::*;

    #[test]
    fn a_tasks_arn_names_its_cluster() {
        assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/main/0f"), Some("main"));
        assert_eq!(cluster_of("arn:aws:ecs:eu-central-1:1:task/0f"), None, "the old format");
    }
}
