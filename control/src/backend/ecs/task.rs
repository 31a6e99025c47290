//! A task as DescribeTasks reports it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backend::BootTimes;

use crate::backend::sweep::Listed;

mod death;

/// The tag with the ARN of the parent's own task, if the parent runs on ECS.
pub(super) const PARENT_TASK_TAG: &str = "flame:parent-task";

/// The parts of a task that the backend reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Task {
    pub(super) arn: String,
    /// PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED.
    pub(super) status: String,
    /// The desired status: RUNNING or STOPPED.
    pub(super) desired: String,
    pub(super) stop_code: Option<String>,
    pub(super) stopped_reason: Option<String>,
    /// The time of its creation, in seconds of Unix time by AWS's clock.
    pub(super) created: Option<i64>,
    pub(super) times: TaskTimes,
    pub(super) containers: Vec<ContainerState>,
    pub(super) tags: BTreeMap<String, String>,
}

/// When a task reached the steps of its start, as time since the Unix epoch by AWS's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TaskTimes {
    pub(super) created: Option<Duration>,
    pub(super) pull_started: Option<Duration>,
    pub(super) pull_stopped: Option<Duration>,
    pub(super) started: Option<Duration>,
}

impl TaskTimes {
    /// The parts of the boot, once the task has started.
    pub(super) fn boot_times(&self) -> Option<BootTimes> {
        let started = self.started?;
        let between = |from: Option<Duration>, to: Option<Duration>| to?.checked_sub(from?);
        Some(BootTimes {
            provision: between(self.created, self.pull_started),
            pull: between(self.pull_started, self.pull_stopped),
            start: between(self.pull_stopped, Some(started)),
        })
    }
}

/// The state of a task's container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ContainerState {
    pub(super) name: String,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

/// Where a container's log is in CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogLocation {
    pub(super) group: String,
    pub(super) prefix: String,
    /// Its region; `None` is that of the task.
    pub(super) region: Option<String>,
}

impl LogLocation {
    /// The log stream of a task (AWS documentation, "awslogs log driver": `prefix/container/task
    /// id`).
    pub(super) fn stream(&self, container: &str, arn: &str) -> String {
        let id = arn.rsplit_once('/').map_or(arn, |(_, id)| id);
        format!("{}/{container}/{id}", self.prefix)
    }
}

impl Task {
    /// Whether none of its containers runs any more. A task in DEPROVISIONING has stopped; only its
    /// network interface is still being removed (AWS documentation, "Amazon ECS task lifecycle").
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "DEPROVISIONING" | "STOPPED" | "DELETED")
    }

    /// Whether it has ended or is ending, so that it need not be stopped.
    pub(super) fn is_ending(&self) -> bool {
        self.is_over() || self.desired == "STOPPED"
    }

    pub(super) fn is_running(&self) -> bool {
        self.status == "RUNNING" && self.desired != "STOPPED"
    }
}

impl Listed for Task {
    fn id(&self) -> &str {
        &self.arn
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }

    fn created(&self) -> Option<i64> {
        self.created
    }

    fn is_ending(&self) -> bool {
        self.is_ending()
    }

    /// The parent's task. Only parents in the same region and account count: ECS knows nothing of
    /// others, whether they live or not.
    fn parent(&self) -> Option<&str> {
        let parent = self.tag(PARENT_TASK_TAG)?;
        let is_reachable = scope(parent).is_some() && scope(parent) == scope(&self.arn);
        is_reachable.then_some(parent)
    }
}

/// Partition, service, region and account of an ARN: `arn:aws:ecs:region:account:..`.
fn scope(arn: &str) -> Option<&str> {
    let (end, _) = arn.match_indices(':').nth(4)?;
    arn.get(..end)
}

#[cfg(test)]
mod tests;
