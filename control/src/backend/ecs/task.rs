//! A task as DescribeTasks shows it, and how it ended.

use std::collections::BTreeMap;

use crate::backend::BootFailureKind;
use crate::backend::Death;
use crate::backend::aws::words::{self, Row};

/// What is looked at of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Task {
    pub(super) arn: String,
    /// PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED.
    pub(super) status: String,
    /// Where it is going: RUNNING or STOPPED.
    pub(super) desired: String,
    pub(super) stop_code: Option<String>,
    pub(super) stopped_reason: Option<String>,
    /// In seconds of Unix time, by the clock of AWS.
    pub(super) created: Option<i64>,
    pub(super) containers: Vec<Container>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A container of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

/// Where a container's output goes, if that is CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) group: String,
    pub(super) prefix: String,
}

impl Log {
    /// The stream of a task (AWS documentation, "awslogs log driver": `prefix/container/task id`).
    fn stream(&self, container: &str, arn: &str) -> String {
        let id = arn.rsplit_once('/').map_or(arn, |(_, id)| id);
        format!("{}/{container}/{id}", self.prefix)
    }
}

impl Task {
    /// Whether nothing of it runs any more. While it is deprovisioned, its network interface is
    /// taken away, after it has stopped (AWS documentation, "Amazon ECS task lifecycle").
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "DEPROVISIONING" | "STOPPED" | "DELETED")
    }

    /// Whether it has ended, or is about to without anyone's doing.
    pub(super) fn is_ending(&self) -> bool {
        self.is_over() || self.desired == "STOPPED"
    }

    pub(super) fn is_running(&self) -> bool {
        self.status == "RUNNING" && self.desired != "STOPPED"
    }

    /// How it ended: in words, with what to do where a person must do something.
    pub(super) fn death(&self, container: &str, log: Option<&Log>) -> Death {
        let mut death = self.end_of(container);
        if let (Some(log), Some(1..)) = (log, death.exit_code) {
            let stream = log.stream(container, &self.arn);
            death.reason += &format!(" (CloudWatch Logs: {}, {stream})", log.group);
        }
        death
    }

    fn end_of(&self, container: &str) -> Death {
        let own = self.containers.iter().find(|own| own.name == container);
        let code = own.and_then(|own| own.exit_code);
        // What a container could not do is said there, and in other words at the task.
        let told = own.and_then(|own| own.reason.clone());
        let stopped = self.stopped_reason.clone().filter(|reason| !reason.is_empty());
        let said = match (&stopped, &told) {
            (Some(task), Some(container)) if !task.contains(container.as_str()) => {
                Some(format!("{task}; {container}"))
            }
            (None, Some(container)) => Some(container.clone()),
            (stopped, _) => stopped.clone(),
        };
        let said_so = said.as_deref().unwrap_or_default();
        let mut kind = BootFailureKind::Died;
        let end = End::of(self.stop_code.as_deref(), said_so);
        let mut reason = match &end {
            End::NotStarted => {
                let why = why_not_started(said_so);
                kind = why.kind;
                format!("the ECS task failed to start: {}", why.reason)
            }
            End::Exited => {
                format!("the ECS task ended by itself: {}", why_it_exited(code, said_so))
            }
            End::Stopped(reason) => (*reason).to_owned(),
            End::Other(code) => format!("the ECS task was stopped: {code}"),
            End::Unknown => format!("the ECS task ended: {}", why_it_exited(code, said_so)),
        };
        if matches!(end, End::Stopped(_)) && code == Some(137) {
            reason += "; it had not ended when its `stopTimeout` was over, and was killed (137)";
        }
        Death { kind, stopped_reason: said, exit_code: code, ..Death::new(reason) }
    }
}

/// What ended a task.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    NotStarted,
    Exited,
    /// Something told it to stop, by SIGTERM and then SIGKILL: in words.
    Stopped(&'static str),
    /// A stop code that is not known here.
    Other(&'a str),
    Unknown,
}

impl<'a> End<'a> {
    /// By the stop code (botocore 1.44.8, ecs 2014-11-13, `TaskStopCode`), and by the words of Spot,
    /// which come with other codes, too.
    fn of(stop_code: Option<&'a str>, said: &str) -> Self {
        if stop_code == Some("SpotInterruption") || words::says_any(said, SPOT) {
            return End::Stopped(
                "the ECS task was ended because Fargate took its Spot capacity back: this is what \
                 Spot is; use FARGATE, or give it a share by a second capacity provider, where it \
                 must not be",
            );
        }
        match stop_code {
            Some("TaskFailedToStart") => End::NotStarted,
            Some("EssentialContainerExited") => End::Exited,
            Some("UserInitiated") => End::Stopped("the ECS task was stopped by StopTask"),
            Some("ServiceSchedulerInitiated") => End::Stopped(
                "the ECS task was stopped by the scheduler of an ECS service: runners belong to no \
                 service; see what has made one of their task definition",
            ),
            Some("TerminationNotice") => {
                End::Stopped("the ECS task was ended by AWS: its host is being retired")
            }
            Some("InfrastructureHealth") => {
                End::Stopped("the ECS task was ended by AWS: its host is unhealthy")
            }
            Some(code) => End::Other(code),
            None => End::Unknown,
        }
    }
}

/// AWS documentation, "Amazon ECS task state change events".
const SPOT: &[&str] = &["Spot Task was interrupted", "Spot interruption", "SpotInterruption"];

/// Why a task did not start.
#[derive(Debug, Clone, Copy)]
struct Why {
    kind: BootFailureKind,
    reason: &'static str,
}

const THROTTLED: Why = Why {
    kind: BootFailureKind::Throttled,
    reason: "what it needs for its start is throttled; boot fewer at a time",
};
const VOLUME: Why = Why {
    kind: BootFailureKind::Refused,
    reason: "its volume can't be mounted; look at the volumes of the task definition, at their \
             file system, whose security group must let NFS in (port 2049), and at the task role",
};
const IMAGE: Why = Why {
    kind: BootFailureKind::Refused,
    reason: "its image can't be pulled; look whether image and tag of the task definition exist, \
             whether the execution role may pull from the registry, and whether the subnets reach \
             it (NAT, a public address, or VPC endpoints for ECR and S3)",
};
const RESOURCES: Why = Why {
    kind: BootFailureKind::Refused,
    reason: "its secrets, logs or network could not be set up; look at the execution role, and \
             whether the subnets reach Secrets Manager, SSM, ECR and CloudWatch Logs (NAT, a public \
             address, or VPC endpoints)",
};
const CONTAINER: Why = Why {
    kind: BootFailureKind::Refused,
    reason: "its container can't be started; look at the entry point and the platform (x86 or ARM) \
             of the image",
};
const ROOM: Why = Why {
    kind: BootFailureKind::Capacity,
    reason: "Fargate has no room at the moment; add subnets in other availability zones, or \
             another capacity provider",
};
const NETWORK: Why = Why {
    kind: BootFailureKind::Capacity,
    reason: "its network interface could not be attached; look whether the subnets have addresses \
             left",
};
const QUOTA: Why = Why {
    kind: BootFailureKind::Quota,
    reason: "a quota of the account is used up; raise it (Service Quotas, AWS Fargate), or lower \
             `max`",
};

/// What a task says of a start that failed (AWS documentation, "Stopped tasks error messages"). The
/// order counts: a failure of the more special kind may stand inside one of the more general.
const STARTS: &[Row<Why>] = &[
    // "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes".
    Row { phrases: &["EFS", "CannotCreateVolumeError"], means: VOLUME },
    // "Rate limit exceeded while preparing network interface to be attached to instance", and the
    // stores of secrets inside a ResourceInitializationError.
    Row { phrases: words::THROTTLED, means: THROTTLED },
    Row { phrases: &["CannotPullContainerError", "CannotPullImageManifestError"], means: IMAGE },
    // "Network interface provision complete error timeout", "Timeout waiting for network interface
    // provisioning to complete".
    Row {
        phrases: &["Network interface provision complete error", "waiting for network interface"],
        means: NETWORK,
    },
    Row { phrases: &["ResourceInitializationError"], means: RESOURCES },
    Row {
        phrases: &[
            "CannotStartContainerError",
            "CannotCreateContainerError",
            "ContainerRuntimeError",
            "ContainerRuntimeTimeoutError",
        ],
        means: CONTAINER,
    },
    Row { phrases: &["Capacity is unavailable", "RESOURCE:"], means: ROOM },
    Row { phrases: &["above your limit", "reached the limit"], means: QUOTA },
    Row { phrases: &["network interface", "ENI"], means: NETWORK },
];

fn why_not_started(said: &str) -> Why {
    let unknown = Why { kind: BootFailureKind::Other, reason: "see what ECS says of it" };
    words::meaning(STARTS, said).copied().unwrap_or(unknown)
}

fn why_it_exited(code: Option<i32>, said: &str) -> String {
    if words::says_any(said, &["OutOfMemory", "OutOfMemoryError"]) {
        return "it used more memory than it has; raise `memory`, or give a runner fewer calls"
            .to_owned();
    }
    match code {
        Some(0) => "in good order (code 0); where it had not dialled home by then it may not be \
            this app, or its `main` does not come to `App::run`: look at the image of the task \
            definition, its entry point and its command"
            .to_owned(),
        Some(81) => "it never reached its parent; look whether the parent's security group takes \
            the runners' on the pool's port, and at the address that the pool advertises"
            .to_owned(),
        Some(82) => "its parent was out of reach for longer than the grace".to_owned(),
        Some(83) => "its shutdown window was over, and calls under way were ended".to_owned(),
        Some(84) => "its parent refused it; its log says why".to_owned(),
        Some(137) => "it was killed (137); where nobody did so, and no other essential container \
            ended a `stopTimeout` before, it used too much memory: raise `memory`"
            .to_owned(),
        Some(143) => "it was told to go at once (143)".to_owned(),
        Some(code) => format!("its container exited with code {code}; see its log"),
        None => "see what ECS says of it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(code: &str, reason: &str, container: Container) -> Task {
        Task {
            arn: "arn:aws:ecs:eu-central-1:1:task/main/1".to_owned(),
            status: "STOPPED".to_owned(),
            desired: "STOPPED".to_owned(),
            stop_code: Some(code.to_owned()),
            stopped_reason: Some(reason.to_owned()),
            containers: vec![
                Container { name: "logs".to_owned(), exit_code: Some(1), reason: None },
                container,
            ],
            ..Task::default()
        }
    }

    fn app(exit_code: Option<i32>, reason: Option<&str>) -> Container {
        Container { name: "app".to_owned(), exit_code, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn a_task_is_over_when_nothing_of_it_runs_and_ending_before_that() {
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
    fn an_exit_is_told_with_the_code_of_the_apps_own_container() {
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
    fn an_image_that_can_not_be_pulled_says_where_to_look() {
        let why = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
        let task = stopped("TaskFailedToStart", why, app(None, Some(why)));
        let death = task.death("app", None);
        assert!(death.reason.contains("execution role"), "{}", death.reason);
        assert_eq!(death.stopped_reason.as_deref(), Some(why), "said once");
        assert_eq!(death.kind, BootFailureKind::Refused);
        assert_eq!(death.exit_code, None);
    }

    #[test]
    fn memory_spot_and_a_parent_out_of_reach_each_have_their_words() {
        let exited = "EssentialContainerExited";
        let killed = stopped(
            exited,
            "Essential container in task exited",
            app(Some(137), Some("OutOfMemoryError: Container killed due to memory usage")),
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
    fn a_kill_after_the_stop_timeout_is_told_as_that_and_not_as_want_of_memory() {
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
    fn an_exit_names_the_log_where_that_is_known() {
        let log = Log { group: "/app".to_owned(), prefix: "run".to_owned() };
        let exited = |code| stopped("EssentialContainerExited", "", app(code, None));
        let reason = exited(Some(7)).death("app", Some(&log)).reason;
        assert!(reason.contains("/app, run/app/1"), "{reason}");
        for code in [Some(0), None] {
            let reason = exited(code).death("app", Some(&log)).reason;
            assert!(!reason.contains("/app"), "{reason}");
        }
    }

    #[test]
    fn each_way_in_which_a_start_fails_is_of_a_kind_and_says_where_to_look() {
        use BootFailureKind::{Capacity, Other, Quota, Refused, Throttled};
        for (said, kind, advice) in [
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
            ("RESOURCE:ENI", Capacity, "no room"),
            ("Unexpected EC2 error while attempting to attach ENI", Capacity, "subnet"),
            ("CannotCreateVolumeError: no such volume", Refused, "volume"),
            ("CannotPullContainerError: DENIED: not found", Refused, "image"),
            ("CannotStartContainerError: exec format error", Refused, "entry point"),
            ("Capacity is unavailable at this time.", Capacity, "no room"),
            ("You've reached the limit on the number of tasks you can run", Quota, "quota"),
            ("DENIED by something new", Other, "what ECS says"),
        ] {
            let task = stopped("TaskFailedToStart", said, app(None, None));
            let death = task.death("app", None);
            assert_eq!(death.kind, kind, "{said}: {}", death.reason);
            assert!(death.reason.contains(advice), "{said}: {}", death.reason);
        }
    }

    #[test]
    fn spots_words_count_whatever_the_stop_code() {
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
    fn a_host_that_fails_and_a_scheduler_that_stops_are_told_as_what_they_are() {
        let reason = |code| stopped(code, "", app(Some(137), None)).death("app", None).reason;
        for (code, told) in [
            ("InfrastructureHealth", "host is unhealthy"),
            ("TerminationNotice", "host is being retired"),
            ("ServiceSchedulerInitiated", "an ECS service"),
        ] {
            let reason = reason(code);
            assert!(reason.contains(told), "{code}: {reason}");
            assert!(reason.contains("`stopTimeout`") && !reason.contains("memory"), "{reason}");
        }
    }

    #[test]
    fn a_container_that_exits_0_may_be_no_runner() {
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
