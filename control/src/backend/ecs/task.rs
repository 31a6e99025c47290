//! A task as DescribeTasks reports it.

use std::collections::BTreeMap;

mod death;

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
    pub(super) containers: Vec<ContainerState>,
    pub(super) tags: BTreeMap<String, String>,
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
    #[cfg_attr(not(feature = "cloudwatch-logs"), expect(dead_code, reason = "for its reader"))]
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

#[cfg(test)]
mod tests;
