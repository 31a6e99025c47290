//! A task as DescribeTasks reports it, and why it ended.

use std::collections::BTreeMap;

use crate::backend::BootFailureKind;
use crate::backend::Death;
use crate::backend::aws::phrases::{self, PhraseRule};

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
}

impl LogLocation {
    /// The log stream of a task (AWS documentation, "awslogs log driver": `prefix/container/task id`).
    fn stream(&self, container: &str, arn: &str) -> String {
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

    /// Why it ended, with advice if a person must correct something.
    pub(super) fn death(&self, container: &str, log: Option<&LogLocation>) -> Death {
        let mut death = self.death_of(container);
        if let (Some(log), Some(1..)) = (log, death.exit_code) {
            let stream = log.stream(container, &self.arn);
            death.reason += &format!(" (CloudWatch Logs: {}, {stream})", log.group);
        }
        death
    }

    fn death_of(&self, container: &str) -> Death {
        let own = self.containers.iter().find(|own| own.name == container);
        let exit_code = own.and_then(|own| own.exit_code);
        // The container's reason and the task's reason may be two different texts.
        let container_reason = own.and_then(|own| own.reason.clone());
        let task_reason = self.stopped_reason.clone().filter(|reason| !reason.is_empty());
        let stopped_reason = match (task_reason, container_reason) {
            (Some(task), Some(container)) if !task.contains(container.as_str()) => {
                Some(format!("{task}; {container}"))
            }
            (None, container) => container,
            (task, _) => task,
        };
        let text = stopped_reason.as_deref().unwrap_or_default();
        let mut kind = BootFailureKind::Died;
        let cause = StopCause::of(self.stop_code.as_deref(), text);
        let mut reason = match &cause {
            StopCause::NotStarted => {
                let failure = start_failure(text);
                kind = failure.kind;
                format!("the ECS task failed to start: {}", failure.reason)
            }
            StopCause::Exited => {
                format!("the ECS task ended by itself: {}", exit_reason(exit_code, text))
            }
            StopCause::Stopped(reason) => (*reason).to_owned(),
            StopCause::Other(code) => format!("the ECS task was stopped: {code}"),
            StopCause::Unknown => {
                format!("the ECS task ended: {}", exit_reason(exit_code, text))
            }
        };
        if matches!(cause, StopCause::Stopped(_)) && exit_code == Some(137) {
            reason += "; it did not exit within its `stopTimeout` and was killed (exit code 137)";
        }
        Death { kind, stopped_reason, exit_code, ..Death::new(reason) }
    }
}

/// What ended a task.
#[derive(Debug, PartialEq, Eq)]
enum StopCause<'a> {
    NotStarted,
    Exited,
    /// Something stopped it, with SIGTERM and then SIGKILL, for this reason.
    Stopped(&'static str),
    /// An unknown stop code.
    Other(&'a str),
    /// No stop code.
    Unknown,
}

impl<'a> StopCause<'a> {
    /// The cause by the stop code (botocore 1.44.8, ecs 2014-11-13, `TaskStopCode`), or by the text
    /// about Spot, which comes with other stop codes, too.
    fn of(stop_code: Option<&'a str>, text: &str) -> Self {
        if stop_code == Some("SpotInterruption") || phrases::contains_any(text, SPOT) {
            return StopCause::Stopped(
                "the ECS task ended because Fargate took its Spot capacity back, which Spot may \
                 do at any time; to avoid it, use FARGATE, or add FARGATE as a second capacity \
                 provider",
            );
        }
        match stop_code {
            Some("TaskFailedToStart") => StopCause::NotStarted,
            Some("EssentialContainerExited") => StopCause::Exited,
            Some("UserInitiated") => StopCause::Stopped("the ECS task was stopped by StopTask"),
            Some("ServiceSchedulerInitiated") => StopCause::Stopped(
                "the ECS task was stopped by the scheduler of an ECS service, but runners must not \
                 belong to a service; check which service uses their task definition",
            ),
            Some("TerminationNotice") => {
                StopCause::Stopped("the ECS task was stopped by AWS: its host is being retired")
            }
            Some("InfrastructureHealth") => {
                StopCause::Stopped("the ECS task was stopped by AWS: its host is unhealthy")
            }
            Some(code) => StopCause::Other(code),
            None => StopCause::Unknown,
        }
    }
}

/// AWS documentation, "Amazon ECS task state change events".
const SPOT: &[&str] = &["Spot Task was interrupted", "Spot interruption", "SpotInterruption"];

/// Why a task did not start.
#[derive(Debug, Clone, Copy)]
struct StartFailure {
    kind: BootFailureKind,
    reason: &'static str,
}

const THROTTLED: StartFailure = StartFailure {
    kind: BootFailureKind::Throttled,
    reason: "AWS throttled a request that its start needs; boot fewer runners at a time",
};
const VOLUME: StartFailure = StartFailure {
    kind: BootFailureKind::Refused,
    reason: "its volume can't be mounted; check the volumes of the task definition, the file \
             system's security group, which must allow NFS (port 2049), and the task role",
};
const IMAGE: StartFailure = StartFailure {
    kind: BootFailureKind::Refused,
    reason: "its image can't be pulled; check that the image and tag in the task definition exist, \
             that the execution role may pull from the registry, and that the subnets reach the \
             registry (NAT, a public address, or VPC endpoints for ECR and S3)",
};
const RESOURCES: StartFailure = StartFailure {
    kind: BootFailureKind::Refused,
    reason: "its secrets, logs or network could not be set up; check the execution role, and that \
             the subnets reach Secrets Manager, SSM, ECR and CloudWatch Logs (NAT, a public \
             address, or VPC endpoints)",
};
const CONTAINER: StartFailure = StartFailure {
    kind: BootFailureKind::Refused,
    reason: "its container can't be started; check the image's entry point and its platform (x86 \
             or ARM)",
};
const CAPACITY: StartFailure = StartFailure {
    kind: BootFailureKind::Capacity,
    reason: "Fargate has no capacity at the moment; add subnets in other availability zones, or \
             another capacity provider",
};
const NETWORK: StartFailure = StartFailure {
    kind: BootFailureKind::Capacity,
    reason: "its network interface could not be attached; check that the subnets have free \
             addresses",
};
const QUOTA: StartFailure = StartFailure {
    kind: BootFailureKind::Quota,
    reason: "a quota of the account is used up; raise the quota (Service Quotas, AWS Fargate), or \
             lower `max`",
};

/// What the stopped reason of a failed start means (AWS documentation, "Stopped tasks error
/// messages"). The order counts: a specific error may be quoted inside a general one.
const START_FAILURES: &[PhraseRule<StartFailure>] = &[
    // "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes".
    PhraseRule { phrases: &["EFS", "CannotCreateVolumeError"], meaning: VOLUME },
    // "Rate limit exceeded while preparing network interface to be attached to instance", and
    // throttling by the stores of secrets inside a ResourceInitializationError.
    PhraseRule { phrases: phrases::THROTTLED, meaning: THROTTLED },
    PhraseRule {
        phrases: &["CannotPullContainerError", "CannotPullImageManifestError"],
        meaning: IMAGE,
    },
    // "Network interface provision complete error timeout", "Timeout waiting for network interface
    // provisioning to complete".
    PhraseRule {
        phrases: &["Network interface provision complete error", "waiting for network interface"],
        meaning: NETWORK,
    },
    PhraseRule { phrases: &["ResourceInitializationError"], meaning: RESOURCES },
    PhraseRule {
        phrases: &[
            "CannotStartContainerError",
            "CannotCreateContainerError",
            "ContainerRuntimeError",
            "ContainerRuntimeTimeoutError",
        ],
        meaning: CONTAINER,
    },
    PhraseRule { phrases: &["Capacity is unavailable", "RESOURCE:"], meaning: CAPACITY },
    PhraseRule { phrases: &["above your limit", "reached the limit"], meaning: QUOTA },
    PhraseRule { phrases: &["network interface", "ENI"], meaning: NETWORK },
];

fn start_failure(text: &str) -> StartFailure {
    let unknown = StartFailure { kind: BootFailureKind::Other, reason: "see the reason from ECS" };
    phrases::first_match(START_FAILURES, text).copied().unwrap_or(unknown)
}

fn exit_reason(exit_code: Option<i32>, text: &str) -> String {
    if phrases::contains_any(text, &["OutOfMemory", "OutOfMemoryError"]) {
        return "it ran out of memory; raise `memory`, or lower `max_concurrency`".to_owned();
    }
    match exit_code {
        Some(0) => "it exited with code 0; if it exited before it connected, it may not be this \
            app, or its `main` does not reach `App::run`: check the image of the task definition, \
            its entry point and its command"
            .to_owned(),
        Some(81) => "it never reached its parent; check that the parent's security group allows \
            the runners' on the pool's port, and that the pool advertises an address that the \
            runner can reach"
            .to_owned(),
        Some(82) => "it lost its parent for longer than `reconnect_timeout`".to_owned(),
        Some(83) => "its shutdown window ended, and its remaining calls were aborted".to_owned(),
        Some(84) => "its parent rejected it; the runner's log says why".to_owned(),
        Some(137) => "it was killed (exit code 137); unless someone killed it, or another \
            essential container exited a `stopTimeout` earlier, it ran out of memory: raise \
            `memory`"
            .to_owned(),
        Some(143) => "it exited at once after SIGTERM (exit code 143)".to_owned(),
        Some(code) => format!("its container exited with code {code}; see the container's log"),
        None => "see the reason from ECS".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(code: &str, reason: &str, container: ContainerState) -> Task {
        Task {
            arn: "arn:aws:ecs:eu-central-1:1:task/main/1".to_owned(),
            status: "STOPPED".to_owned(),
            desired: "STOPPED".to_owned(),
            stop_code: Some(code.to_owned()),
            stopped_reason: Some(reason.to_owned()),
            containers: vec![
                ContainerState { name: "logs".to_owned(), exit_code: Some(1), reason: None },
                container,
            ],
            ..Task::default()
        }
    }

    fn app(exit_code: Option<i32>, reason: Option<&str>) -> ContainerState {
        ContainerState { name: "app".to_owned(), exit_code, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn a_task_is_over_when_no_container_runs_and_ending_before_that() {
        let at = |status: &str, desired: &str| Task {
            status: status.to_owned(),
            desired: desired.to_owned(),
            ..Task::default()
        };
        for status in ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"] {
            let task = at(status, "RUNNING");
            assert!(!task.is_over() && !task.is_ending(), "{status}");
            assert!(at(status, "STOPPED").is_ending() && !at(status, "STOPPED").is_running());
        }
        for status in ["DEACTIVATING", "STOPPING"] {
            assert!(!at(status, "STOPPED").is_over() && at(status, "STOPPED").is_ending());
        }
        for status in ["DEPROVISIONING", "STOPPED"] {
            assert!(at(status, "STOPPED").is_over(), "{status}");
        }
    }

    #[test]
    fn an_exit_is_reported_with_the_code_of_the_apps_own_container() {
        let task = stopped(
            "EssentialContainerExited",
            "Essential container in task exited",
            app(Some(7), None),
        );
        let death = task.death("app", None);
        assert_eq!(death.exit_code, Some(7));
        assert!(death.reason.contains("code 7"), "{}", death.reason);
        assert_eq!(death.kind, BootFailureKind::Died);
        assert_eq!(death.stopped_reason.as_deref(), Some("Essential container in task exited"));
    }

    #[test]
    fn an_image_that_can_not_be_pulled_is_reported_with_what_to_check() {
        let why = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
        let task = stopped("TaskFailedToStart", why, app(None, Some(why)));
        let death = task.death("app", None);
        assert!(death.reason.contains("execution role"), "{}", death.reason);
        assert_eq!(death.stopped_reason.as_deref(), Some(why), "the text is not repeated");
        assert_eq!(death.kind, BootFailureKind::Refused);
        assert_eq!(death.exit_code, None);
    }

    #[test]
    fn memory_spot_and_an_unreachable_parent_each_have_their_own_reason() {
        let exited = "EssentialContainerExited";
        let killed = stopped(
            exited,
            "Essential container in task exited",
            app(Some(137), Some("OutOfMemoryError: ContainerState killed due to memory usage")),
        );
        let death = killed.death("app", None);
        assert!(death.reason.contains("raise `memory`"), "{}", death.reason);
        assert!(death.stopped_reason.unwrap().contains("OutOfMemoryError"));
        let spot =
            stopped("SpotInterruption", "Your Spot Task was interrupted.", app(Some(0), None));
        assert!(spot.death("app", None).reason.contains("Spot"));
        let lost = stopped(exited, "", app(Some(81), None)).death("app", None);
        assert!(lost.reason.contains("security group"), "{}", lost.reason);
        assert_eq!(lost.stopped_reason, None);
    }

    #[test]
    fn a_kill_after_the_stop_timeout_is_not_reported_as_a_lack_of_memory() {
        for code in ["UserInitiated", "SpotInterruption"] {
            let reason = |exit| stopped(code, "", app(Some(exit), None)).death("app", None).reason;
            let killed = reason(137);
            assert!(killed.contains("`stopTimeout`") && !killed.contains("memory"), "{killed}");
            assert!(!reason(83).contains("`stopTimeout`"), "{}", reason(83));
        }
        let exited = stopped("EssentialContainerExited", "", app(Some(137), None));
        let reason = exited.death("app", None).reason;
        assert!(reason.contains("memory") && reason.contains("`stopTimeout`"), "{reason}");
    }

    #[test]
    fn an_exit_names_the_log_if_its_location_is_known() {
        let log = LogLocation { group: "/app".to_owned(), prefix: "run".to_owned() };
        let exited = |code| stopped("EssentialContainerExited", "", app(code, None));
        let reason = exited(Some(7)).death("app", Some(&log)).reason;
        assert!(reason.contains("/app, run/app/1"), "{reason}");
        for code in [Some(0), None] {
            let reason = exited(code).death("app", Some(&log)).reason;
            assert!(!reason.contains("/app"), "{reason}");
        }
    }

    #[test]
    fn each_failed_start_has_a_kind_and_says_what_to_check() {
        use BootFailureKind::{Capacity, Other, Quota, Refused, Throttled};
        for (text, kind, advice) in [
            (
                "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS \
                 volumes: stderr: b'mount.nfs4: access denied by server'",
                Refused,
                "file system",
            ),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution \
                 resource retrieval failed: AccessDeniedException: User is not authorized: DENIED",
                Refused,
                "execution role",
            ),
            (
                "ResourceInitializationError: unable to pull secrets: ThrottlingException: Rate \
                 exceeded",
                Throttled,
                "fewer at a time",
            ),
            (
                "Rate limit exceeded while preparing network interface to be attached to instance",
                Throttled,
                "fewer at a time",
            ),
            (
                "Network interface provision complete error timeout provisioning.",
                Capacity,
                "subnet",
            ),
            ("Timeout waiting for network interface provisioning to complete.", Capacity, "subnet"),
            ("RESOURCE:ENI", Capacity, "no capacity"),
            ("Unexpected EC2 error while attempting to attach ENI", Capacity, "subnet"),
            ("CannotCreateVolumeError: no such volume", Refused, "volume"),
            ("CannotPullContainerError: DENIED: not found", Refused, "image"),
            ("CannotStartContainerError: exec format error", Refused, "entry point"),
            ("Capacity is unavailable at this time.", Capacity, "no capacity"),
            ("You've reached the limit on the number of tasks you can run", Quota, "quota"),
            ("DENIED by something new", Other, "reason from ECS"),
        ] {
            let task = stopped("TaskFailedToStart", text, app(None, None));
            let death = task.death("app", None);
            assert_eq!(death.kind, kind, "{text}: {}", death.reason);
            assert!(death.reason.contains(advice), "{text}: {}", death.reason);
        }
    }

    #[test]
    fn a_text_about_spot_counts_whatever_the_stop_code() {
        let words = "Your Spot Task was interrupted.";
        for code in ["TerminationNotice", "UserInitiated", "EssentialContainerExited", "New"] {
            let reason = stopped(code, words, app(Some(137), None)).death("app", None).reason;
            assert!(reason.contains("Spot capacity back"), "{code}: {reason}");
            assert!(reason.contains("`stopTimeout`"), "{code}: {reason}");
        }
        let unnamed = Task { stop_code: None, ..stopped("", words, app(Some(0), None)) };
        assert!(unnamed.death("app", None).reason.contains("Spot capacity back"));
    }

    #[test]
    fn a_stop_by_a_failing_host_or_a_scheduler_is_reported_as_such() {
        let reason = |code| stopped(code, "", app(Some(137), None)).death("app", None).reason;
        for (code, expected) in [
            ("InfrastructureHealth", "host is unhealthy"),
            ("TerminationNotice", "host is being retired"),
            ("ServiceSchedulerInitiated", "an ECS service"),
        ] {
            let reason = reason(code);
            assert!(reason.contains(expected), "{code}: {reason}");
            assert!(reason.contains("`stopTimeout`") && !reason.contains("memory"), "{reason}");
        }
    }

    #[test]
    fn an_exit_with_code_0_says_that_the_container_may_be_no_runner() {
        let death = stopped("EssentialContainerExited", "", app(Some(0), None)).death("app", None);
        for part in ["code 0", "App::run", "entry point"] {
            assert!(death.reason.contains(part), "{}", death.reason);
        }
    }

    #[test]
    fn every_stop_code_has_a_reason() {
        for code in [
            "TaskFailedToStart",
            "EssentialContainerExited",
            "UserInitiated",
            "ServiceSchedulerInitiated",
            "SpotInterruption",
            "TerminationNotice",
            "InfrastructureHealth",
            "SomethingNew",
        ] {
            assert!(!stopped(code, "", app(None, None)).death("app", None).reason.is_empty());
        }
        assert!(!Task::default().death("app", None).reason.is_empty());
    }
}
