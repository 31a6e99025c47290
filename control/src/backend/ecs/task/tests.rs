use super::*;
use crate::backend::BootFailureKind;

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
fn an_image_that_cannot_be_pulled_is_reported_with_what_to_check() {
    let why = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
    let task = stopped("TaskFailedToStart", why, app(None, Some(why)));
    let death = task.death("app", None);
    assert!(death.reason.contains("execution role"), "{}", death.reason);
    assert_eq!(death.stopped_reason.as_deref(), Some(why), "the text is not repeated");
    assert_eq!(death.kind, BootFailureKind::Misconfigured);
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
    let spot = stopped("SpotInterruption", "Your Spot Task was interrupted.", app(Some(0), None));
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
    let log = LogLocation { group: "/app".to_owned(), prefix: "run".to_owned(), region: None };
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
    use BootFailureKind::{Capacity, Misconfigured, Other, Quota, Throttled};
    for (text, kind, advice) in [
        (
            "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS \
             volumes: stderr: b'mount.nfs4: access denied by server'",
            Misconfigured,
            "file system",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution \
             resource retrieval failed: AccessDeniedException: User is not authorized: DENIED",
            Misconfigured,
            "execution role",
        ),
        (
            "ResourceInitializationError: unable to pull secrets: ThrottlingException: Rate \
             exceeded",
            Throttled,
            "fewer runners at a time",
        ),
        (
            "Rate limit exceeded while preparing network interface to be attached to instance",
            Throttled,
            "fewer runners at a time",
        ),
        ("Network interface provision complete error timeout provisioning.", Capacity, "subnet"),
        ("Timeout waiting for network interface provisioning to complete.", Capacity, "subnet"),
        ("RESOURCE:ENI", Capacity, "no capacity"),
        ("Unexpected EC2 error while attempting to attach ENI", Capacity, "subnet"),
        ("CannotCreateVolumeError: no such volume", Misconfigured, "volume"),
        ("CannotPullContainerError: DENIED: not found", Misconfigured, "image"),
        ("CannotStartContainerError: exec format error", Misconfigured, "entry point"),
        ("Capacity is unavailable at this time.", Capacity, "no capacity"),
        ("TaskFailedToStart: RESOURCE:CPU", Capacity, "no instance of the capacity provider"),
        ("TaskFailedToStart: RESOURCE:GPU", Capacity, "no instance of the capacity provider"),
        ("TaskFailedToStart: EMPTY CAPACITY PROVIDER", Capacity, "managed scaling"),
        ("TaskFailedToStart: AGENT", Capacity, "joined"),
        ("TaskFailedToStart: ATTRIBUTE", Misconfigured, "placement constraints"),
        (
            "TaskFailedToStart: MemberOf placement constraint unsatisfied.",
            Misconfigured,
            "placement constraints",
        ),
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

#[test]
fn a_parent_in_another_region_or_account_is_not_looked_up() {
    let of = |parent: &str| {
        let mut task = stopped("", "", app(None, None));
        task.tags.insert(PARENT_TASK_TAG.to_owned(), parent.to_owned());
        task
    };
    let here = "arn:aws:ecs:eu-central-1:1:task/main/parent";
    assert_eq!(of(here).parent(), Some(here));
    for elsewhere in [
        "arn:aws:ecs:eu-west-1:1:task/main/parent",
        "arn:aws:ecs:eu-central-1:2:task/main/parent",
        "arn:aws-cn:ecs:eu-central-1:1:task/main/parent",
        "main/parent",
    ] {
        assert_eq!(of(elsewhere).parent(), None, "{elsewhere}");
    }
}
