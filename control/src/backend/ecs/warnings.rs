//! Settings that are valid but probably unintended. A pool's start logs a warning for each.

use std::time::Duration;

use super::task_template::{ContainerDefinition, TaskTemplate};
use crate::backend::aws::settings::HowToSet;

/// The facts that the warnings depend on.
pub(super) struct Setup<'a> {
    pub(super) template: &'a TaskTemplate,
    /// The app's container, if this process may read the task definition.
    pub(super) container: Option<&'a ContainerDefinition>,
    /// Whether this process is an ECS task, which its runners are tagged with.
    pub(super) on_ecs: bool,
    /// The pool's limit on the lifetime of a runner.
    pub(super) max_lifetime: Option<Duration>,
}

/// One sentence for each warning.
pub(super) fn warnings(setup: &Setup<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if setup.template.security_groups.is_empty() && !setup.template.subnets.is_empty() {
        let place = HowToSet("ecs", "security_groups");
        warnings.push(format!(
            "no `security_groups` are set, so runners get their VPC's default security group: the \
             security group of this process must allow connections from it; to use other groups, \
             set {place}"
        ));
    }
    if setup.container.is_some_and(|container| container.blocking_log) {
        warnings.push(
            "the container's log `mode` is `blocking`: while the log driver can't keep up, code \
             that prints blocks; `non-blocking` with a `max-buffer-size` drops lines instead"
                .to_owned(),
        );
    }
    if !setup.on_ecs && setup.max_lifetime.is_none() {
        warnings.push(
            "this process is not an ECS task, and its pool has no `max_lifetime`: if this process \
             is killed while a runner hangs, nothing ever stops that runner's task; with a \
             `max_lifetime`, other pools of this name can find and stop it"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_given_when_it_applies_and_only_then() {
        let ungrouped =
            TaskTemplate { subnets: vec!["subnet-1".to_owned()], ..TaskTemplate::default() };
        let grouped =
            TaskTemplate { security_groups: vec!["sg-1".to_owned()], ..ungrouped.clone() };
        let on_the_network_of_its_instance = TaskTemplate::default();
        let quiet = ContainerDefinition::default();
        let blocking = ContainerDefinition { blocking_log: true, ..ContainerDefinition::default() };
        let day = Some(Duration::from_secs(86_400));
        let fine =
            Setup { template: &grouped, container: Some(&quiet), on_ecs: true, max_lifetime: None };
        let table = [
            (Setup { ..fine }, [].as_slice()),
            (Setup { container: None, ..fine }, &[]),
            (Setup { template: &on_the_network_of_its_instance, ..fine }, &[]),
            (Setup { template: &ungrouped, ..fine }, &["VPC's default security group"]),
            (Setup { container: Some(&blocking), ..fine }, &["`non-blocking`"]),
            (Setup { on_ecs: false, ..fine }, &["no `max_lifetime`"]),
            (Setup { on_ecs: false, max_lifetime: day, ..fine }, &[]),
            (
                Setup {
                    template: &ungrouped,
                    container: Some(&blocking),
                    on_ecs: false,
                    max_lifetime: None,
                },
                &["VPC's default security group", "`non-blocking`", "no `max_lifetime`"],
            ),
        ];
        for (setup, expected) in table {
            let found = warnings(&setup);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(
                found.iter().zip(expected).all(|(text, part)| text.contains(part)),
                "{found:?}"
            );
        }
    }
}
