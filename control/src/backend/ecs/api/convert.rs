//! Conversions between the SDK's types and plain values.

use aws_sdk_ecs::types::{
    Compatibility, ContainerOverride, EphemeralStorage, KeyValuePair, LogDriver,
    TaskDefinitionStatus, TaskOverride,
};

use super::super::classify::PlacementFailure;
use super::super::request::TaskOverrides;
use super::super::task::{ContainerState, LogLocation, Task};
use super::super::task_template::{ContainerDefinition, TaskDefinition};

pub(super) fn overrides(overrides: TaskOverrides) -> TaskOverride {
    let containers = overrides.container_overrides.into_iter().map(|container| {
        let variables = container.environment.into_iter().map(|variable| {
            KeyValuePair::builder().name(variable.name).value(variable.value).build()
        });
        ContainerOverride::builder()
            .name(container.name)
            .set_environment(Some(variables.collect()))
            .set_cpu(container.cpu)
            .set_memory(container.memory)
            .build()
    });
    let storage = overrides.ephemeral_storage;
    TaskOverride::builder()
        .set_container_overrides(Some(containers.collect()))
        .set_cpu(overrides.cpu)
        .set_memory(overrides.memory)
        .set_ephemeral_storage(
            storage.map(|storage| EphemeralStorage::builder().size_in_gib(storage.gib).build()),
        )
        .build()
}

pub(super) fn failure(failure: &aws_sdk_ecs::types::Failure) -> PlacementFailure {
    PlacementFailure {
        arn: failure.arn().map(str::to_owned),
        reason: failure.reason().unwrap_or("ECS gave no reason").to_owned(),
        detail: failure.detail().map(str::to_owned),
    }
}

pub(super) fn task(task: &aws_sdk_ecs::types::Task) -> Task {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let containers = task.containers().iter().map(|container| ContainerState {
        name: text(container.name()),
        exit_code: container.exit_code(),
        reason: container.reason().map(str::to_owned),
    });
    let tags = task.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
    Task {
        arn: text(task.task_arn()),
        status: text(task.last_status()),
        desired: text(task.desired_status()),
        stop_code: task.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason().map(str::to_owned),
        created: task.created_at().map(aws_sdk_ecs::primitives::DateTime::secs),
        containers: containers.collect(),
        tags: tags.collect(),
    }
}

/// By the option `mode`, which all log drivers have (AWS documentation, LogConfiguration).
fn is_blocking(log: &aws_sdk_ecs::types::LogConfiguration) -> bool {
    let mode = log.options().and_then(|options| options.get("mode"));
    mode.is_some_and(|mode| mode == "blocking")
}

fn log_location(log: &aws_sdk_ecs::types::LogConfiguration) -> Option<LogLocation> {
    let option = |name| log.options().and_then(|options| options.get(name)).cloned();
    if *log.log_driver() != LogDriver::Awslogs {
        return None;
    }
    Some(LogLocation {
        group: option("awslogs-group")?,
        prefix: option("awslogs-stream-prefix")?,
        region: option("awslogs-region"),
    })
}

pub(super) fn task_definition(definition: &aws_sdk_ecs::types::TaskDefinition) -> TaskDefinition {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let positive = |number: i32| u32::try_from(number).unwrap_or(0);
    let containers = definition.container_definitions().iter().map(|container| {
        let memory = container.memory().or(container.memory_reservation());
        ContainerDefinition {
            name: container.name().unwrap_or_default().to_owned(),
            cpu: positive(container.cpu()),
            memory: positive(memory.unwrap_or(0)),
            stop_timeout: container.stop_timeout().map(positive),
            // A container is essential by default (AWS documentation, ContainerDefinition).
            optional: container.essential() == Some(false),
            restarts: container.restart_policy().is_some_and(|policy| policy.enabled()),
            blocking_log: container.log_configuration().is_some_and(is_blocking),
            log: container.log_configuration().and_then(log_location),
        }
    });
    // Without required compatibilities, ECS accepts whatever fits.
    let requires = definition.requires_compatibilities();
    TaskDefinition {
        family: definition.family().unwrap_or_default().to_owned(),
        active: !matches!(definition.status(), Some(TaskDefinitionStatus::Inactive)),
        network_mode: definition.network_mode().map(|mode| mode.as_str()).unwrap_or("").to_owned(),
        fargate: (!requires.is_empty()).then(|| requires.contains(&Compatibility::Fargate)),
        cpu: number(definition.cpu()),
        memory: number(definition.memory()),
        containers: containers.collect(),
    }
}
