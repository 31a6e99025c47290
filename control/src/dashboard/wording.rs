//! Events and errors in words, and links to consoles. Pure.

use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;

use crate::backend::BootFailure;
use crate::pool::{GrowReason, PoolEvent, ShrinkReason};

/// The most bytes of one text that the page shows.
const LONGEST_TEXT: usize = 4096;
/// The most lines of a log that the page shows of one error.
const MOST_LINES: usize = 50;

/// An error in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorText {
    pub(super) title: String,
    pub(super) message: String,
    pub(super) log_tail: Vec<String>,
}

/// The start of a runner's ref: enough to tell the runners of a pool apart.
pub(super) fn short(runner: RunnerRef) -> String {
    runner.to_string().chars().take(10).collect()
}

/// An event in a sentence. `None` for the events of calls, of which there are too many.
pub(super) fn sentence(event: &PoolEvent) -> Option<String> {
    let text = match event {
        PoolEvent::GrowStart { runner, reason } => {
            format!("Runner {} boots, because {}.", short(*runner), grow_reason(*reason))
        }
        PoolEvent::GrowEnd { runner, up: true, .. } => format!("Runner {} is up.", short(*runner)),
        PoolEvent::GrowEnd { runner, failure: Some(failure), .. } => {
            format!("The boot of runner {} failed: {}", short(*runner), failure.reason)
        }
        PoolEvent::GrowEnd { runner, .. } => {
            format!("The boot of runner {} was stopped.", short(*runner))
        }
        PoolEvent::Draining { runner, reason } => {
            format!("Runner {} takes no more calls: {}.", short(*runner), shrink_reason(*reason))
        }
        PoolEvent::Shrink { runner, reason } => {
            format!("Runner {} has ended: {}.", short(*runner), shrink_reason(*reason))
        }
        PoolEvent::RunnerLost { runner, calls } => {
            format!("Runner {} was lost, with {}.", short(*runner), counted(*calls as u64, "call"))
        }
        PoolEvent::StopFailed { runner, .. } => {
            format!("The instance of runner {} can't be stopped.", short(*runner))
        }
        PoolEvent::BackingOff { failures } => {
            format!(
                "The next boot waits, after {} in a row.",
                counted((*failures).into(), "failure")
            )
        }
        PoolEvent::BreakerOpened { failures } => {
            format!(
                "No boot is tried for now, after {} in a row.",
                counted((*failures).into(), "failure")
            )
        }
        PoolEvent::BreakerClosed => "Boots work again.".to_owned(),
        PoolEvent::Ready => "The pool is ready: `min` runners are up.".to_owned(),
        PoolEvent::Drained => "The pool has drained.".to_owned(),
        PoolEvent::CallQueued { .. }
        | PoolEvent::CallStarted { .. }
        | PoolEvent::CallFinished { .. } => return None,
    };
    Some(limited(&text))
}

/// The error that the event reports, if it reports one.
pub(super) fn error(event: &PoolEvent) -> Option<ErrorText> {
    let (title, message, log_tail) = match event {
        PoolEvent::CallFinished { function, error: Some(error), .. } => {
            (format!("A call of {function} failed"), error.to_string(), &[][..])
        }
        PoolEvent::GrowEnd { runner, failure: Some(failure), .. } => {
            let title = format!("The boot of runner {} failed", short(*runner));
            // The page shows the lines apart from the message.
            let message = BootFailure { log_tail: Vec::new(), ..(**failure).clone() }.to_string();
            (title, message, &failure.log_tail[..])
        }
        PoolEvent::RunnerLost { runner, calls } => {
            let message = format!("It was serving {}.", counted(*calls as u64, "call"));
            (format!("Runner {} was lost", short(*runner)), message, &[][..])
        }
        PoolEvent::StopFailed { runner, instance, why } => {
            let title = format!("The instance of runner {} can't be stopped", short(*runner));
            let message =
                format!("It may still run, and cost money: check it. Instance {instance:?}: {why}");
            (title, message, &[][..])
        }
        _ => return None,
    };
    let tail = &log_tail[log_tail.len().saturating_sub(MOST_LINES)..];
    let log_tail = tail.iter().map(|line| limited(line)).collect();
    Some(ErrorText { title: limited(&title), message: limited(&message), log_tail })
}

fn grow_reason(reason: GrowReason) -> &'static str {
    match reason {
        GrowReason::Demand => "calls wait for a slot",
        GrowReason::Min => "fewer than `min` runners are up or booting",
        GrowReason::FreeSlots => "fewer than `min_free_slots` slots are free",
    }
}

fn shrink_reason(reason: ShrinkReason) -> &'static str {
    match reason {
        ShrinkReason::Idle => "it was idle",
        ShrinkReason::SingleUse => "it has served its one call",
        ShrinkReason::Resize => "`max` was lowered",
        ShrinkReason::Announced => "it announced that it must shut down",
        ShrinkReason::Expiring => "it would expire before the next call completes",
        ShrinkReason::Requested => "its end was requested",
        ShrinkReason::PoolDrain => "the pool drains",
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}

/// The text, cut at [`LONGEST_TEXT`].
fn limited(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_TEXT);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// The page of an ECS task in the AWS console, if this is the ARN of one.
///
/// The ARN's format is that of
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>:
/// `arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/TASK`. The hosts of the consoles of other
/// partitions than `aws` differ, so their tasks get no link.
pub(super) fn console_link(host: HostKind, instance: &str) -> Option<String> {
    let parts: Vec<_> = instance.splitn(6, ':').collect();
    let (HostKind::Ecs, ["arn", "aws", "ecs", region, _, resource]) = (host, &parts[..]) else {
        return None;
    };
    let mut names = resource.strip_prefix("task/")?.split('/');
    let (cluster, task) = (names.next()?, names.next()?);
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let all_plain = [*region, cluster, task].into_iter().all(is_plain) && names.next().is_none();
    all_plain.then(|| {
        format!(
            "https://{region}.console.aws.amazon.com/ecs/v2/clusters/{cluster}/tasks/{task}?region={region}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_arn_of_a_task_becomes_a_link() {
        let link = console_link(HostKind::Ecs, "arn:aws:ecs:eu-central-1:123:task/main/0a1b");
        let expected = "https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/main/tasks/0a1b\
                        ?region=eu-central-1";
        assert_eq!(link.as_deref(), Some(expected));
        for (host, instance) in [
            (HostKind::Process, "arn:aws:ecs:eu-central-1:123:task/main/0a1b"),
            (HostKind::Ecs, "4711"),
            (HostKind::Ecs, ""),
            (HostKind::Ecs, "arn:aws:ecs:eu-central-1:123:task/main"),
            (HostKind::Ecs, "arn:aws:ecs:eu-central-1:123:task/main/0a1b/more"),
            (HostKind::Ecs, "arn:aws:ecs:eu-central-1:123:service/main/0a1b"),
            (HostKind::Ecs, "arn:aws:ecs:evil.example/:123:task/main/0a1b"),
            (HostKind::Ecs, "arn:aws:ecs::123:task/main/0a1b"),
            (HostKind::Ecs, "arn:aws:ecs:eu-central-1:123:task/main/0a1b?x=<script>"),
            (HostKind::Ecs, "arn:aws-cn:ecs:cn-north-1:123:task/main/0a1b"),
        ] {
            assert_eq!(console_link(host, instance), None, "{host} {instance}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ä".repeat(LONGEST_TEXT);
        let cut = limited(&long);
        assert!(cut.len() <= LONGEST_TEXT + '…'.len_utf8() && cut.ends_with("ä…"), "{}", cut.len());
        assert_eq!(limited("short"), "short");
    }
}
