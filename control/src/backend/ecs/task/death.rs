//! Why a task ended, and what to do about it.

use super::{LogLocation, Task};
use crate::backend::aws::phrases::{self, PhraseRule};
use crate::backend::{BootFailureKind, Death, failure};

impl Task {
    /// Why it ended, with advice if a person must correct something.
    pub(in crate::backend::ecs) fn death(
        &self,
        container: &str,
        log: Option<&LogLocation>,
    ) -> Death {
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
    kind: BootFailureKind::Misconfigured,
    reason: "its volume can't be mounted; check the volumes of the task definition, the file \
             system's security group, which must allow NFS (port 2049), and the task role",
};
const IMAGE: StartFailure = StartFailure {
    kind: BootFailureKind::Misconfigured,
    reason: "its image can't be pulled; check that the image and tag in the task definition exist, \
             that the execution role may pull from the registry, and that the subnets reach the \
             registry (NAT, a public address, or VPC endpoints for ECR and S3)",
};
const RESOURCES: StartFailure = StartFailure {
    kind: BootFailureKind::Misconfigured,
    reason: "its secrets, logs or network could not be set up; check the execution role, and that \
             the subnets reach Secrets Manager, SSM, ECR and CloudWatch Logs (NAT, a public \
             address, or VPC endpoints)",
};
const CONTAINER: StartFailure = StartFailure {
    kind: BootFailureKind::Misconfigured,
    reason: "its container can't be started; check the image's entry point and its platform (x86 \
             or ARM)",
};
const CAPACITY: StartFailure = StartFailure {
    kind: BootFailureKind::Capacity,
    reason: "Fargate has no capacity at the moment; add subnets in other availability zones, or \
             another capacity provider",
};
const INSTANCES: StartFailure = StartFailure {
    kind: BootFailureKind::Capacity,
    reason: "no instance of the capacity provider has room for it; raise the maximum of its Auto \
             Scaling group, choose larger instances, or lower the `size`",
};
const NO_INSTANCES: StartFailure = StartFailure {
    kind: BootFailureKind::Capacity,
    reason: "the capacity provider has no instance that can take it; check that its Auto Scaling \
             group scales with the cluster (managed scaling), and that its instances have joined \
             the cluster",
};
const PLACEMENT: StartFailure = StartFailure {
    kind: BootFailureKind::Misconfigured,
    reason: "no instance satisfies its placement constraints or required attributes, such as its \
             architecture or a GPU; correct the task definition, or name a capacity provider with \
             such instances",
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
    // AWS documentation, "API failure reasons", DescribeTasks.
    PhraseRule {
        phrases: &["TaskFailedToStart: ATTRIBUTE", "placement constraint unsatisfied"],
        meaning: PLACEMENT,
    },
    PhraseRule {
        phrases: &["EMPTY CAPACITY PROVIDER", "NO ACTIVE INSTANCES", "TaskFailedToStart: AGENT"],
        meaning: NO_INSTANCES,
    },
    PhraseRule { phrases: &["TaskFailedToStart: RESOURCE:"], meaning: INSTANCES },
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
        Some(81) => {
            "it never connected to its parent; check that the runner can reach the address that \
            the pool advertises, and that the security group of the parent, or of its relay, \
            allows the runners' on the port there; a parent that the runner can't reach needs a \
            relay (`.relay(..)`)"
                .to_owned()
        }
        Some(137) => "it was killed (exit code 137); unless someone killed it, or another \
            essential container exited a `stopTimeout` earlier, it ran out of memory: raise \
            `memory`"
            .to_owned(),
        Some(code) => match failure::runner_exit(code) {
            Some(why) => why.to_owned(),
            None => format!("its container exited with code {code}; see the container's log"),
        },
        None => "see the reason from ECS".to_owned(),
    }
}
