//! What may well be meant so, and is worth a line in the log when a pool starts.

use std::time::Duration;

use super::plan::{ContainerDefinition, Plan};
use crate::backend::aws::settings::Where;

/// What they are told by.
pub(super) struct Setup<'a> {
    pub(super) plan: &'a Plan,
    /// The app's container, where the task definition may be read.
    pub(super) container: Option<&'a ContainerDefinition>,
    /// Whether this process is an ECS task, and its runners are told which.
    pub(super) on_ecs: bool,
    /// The longest life of a runner.
    pub(super) max_lifetime: Option<Duration>,
}

/// One sentence for each.
pub(super) fn doubts(setup: &Setup<'_>) -> Vec<String> {
    let mut doubts = Vec::new();
    if setup.plan.security_groups.is_empty() {
        let place = Where("ecs", "security_groups");
        doubts.push(format!(
            "no `security_groups` are set: runners get the default group of their VPC, which this \
             process's own group must let in; to name others, set {place}"
        ));
    }
    if setup.container.is_some_and(|container| container.blocking_log) {
        doubts.push(
            "the log `mode` of the container is `blocking`: while its log driver can't keep up, a \
             runner stands still in whatever prints; `non-blocking` with a `max-buffer-size` drops \
             lines instead"
                .to_owned(),
        );
    }
    if !setup.on_ecs && setup.max_lifetime.is_none() {
        doubts.push(
            "this process is no ECS task, and its pool has no `max_lifetime`: should it be killed while \
             one of its runners hangs, nothing will ever end that task; a `max_lifetime` lets other \
             pools of this name find it"
                .to_owned(),
        );
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_is_told_where_it_is_in_place_and_nowhere_else() {
        let grouped = Plan { security_groups: vec!["sg-1".to_owned()], ..Plan::default() };
        let quiet = ContainerDefinition::default();
        let blocking = ContainerDefinition { blocking_log: true, ..ContainerDefinition::default() };
        let day = Some(Duration::from_secs(86_400));
        let fine =
            Setup { plan: &grouped, container: Some(&quiet), on_ecs: true, max_lifetime: None };
        let table = [
            (Setup { ..fine }, [].as_slice()),
            (Setup { container: None, ..fine }, &[]),
            (Setup { plan: &Plan::default(), ..fine }, &["default group of their VPC"]),
            (Setup { container: Some(&blocking), ..fine }, &["`non-blocking`"]),
            (Setup { on_ecs: false, ..fine }, &["no `max_lifetime`"]),
            (Setup { on_ecs: false, max_lifetime: day, ..fine }, &[]),
            (
                Setup {
                    plan: &Plan::default(),
                    container: Some(&blocking),
                    on_ecs: false,
                    max_lifetime: None,
                },
                &["default group of their VPC", "`non-blocking`", "no `max_lifetime`"],
            ),
        ];
        for (setup, wanted) in table {
            let told = doubts(&setup);
            assert_eq!(told.len(), wanted.len(), "{told:?}");
            assert!(told.iter().zip(wanted).all(|(told, part)| told.contains(part)), "{told:?}");
        }
    }
}
