//! Conversions between the SDK's types and plain values.

use std::time::Duration;

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    Compatibility, ContainerOverride, CpuArchitecture, EphemeralStorage, KeyValuePair, LogDriver,
    ResourceRequirement, ResourceType, TaskDefinitionStatus, TaskOverride,
};

use super::super::classify::PlacementFailure;
use super::super::request::TaskOverrides;
use super::super::task::{ContainerState, LogLocation, Task, TaskTimes};
use super::super::task_template::{ContainerDefinition, TaskDefinition};
use crate::cost::Architecture;

pub(super) fn overrides(overrides: TaskOverrides) -> TaskOverride {
    let containers = overrides.container_overrides.into_iter().map(|container| {
        let variables = container.environment.into_iter().map(|variable| {
            KeyValuePair::builder().name(variable.name).value(variable.value).build()
        });
        let resources = container.resource_requirements.into_iter().filter_map(|resource| {
            let resource = ResourceRequirement::builder()
                .r#type(ResourceType::from(resource.r#type))
                .value(resource.value);
            // It has both parts.
            resource.build().ok()
        });
        ContainerOverride::builder()
            .name(container.name)
            .set_environment(Some(variables.collect()))
            .set_cpu(container.cpu)
            .set_memory(container.memory)
            .set_resource_requirements(
                Some(resources.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
            )
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
        created: task.created_at().map(DateTime::secs),
        times: TaskTimes {
            created: task.created_at().and_then(since_epoch),
            pull_started: task.pull_started_at().and_then(since_epoch),
            pull_stopped: task.pull_stopped_at().and_then(since_epoch),
            started: task.started_at().and_then(since_epoch),
        },
        containers: containers.collect(),
        tags: tags.collect(),
    }
}

fn since_epoch(time: &DateTime) -> Option<Duration> {
    Duration::try_from_secs_f64(time.as_secs_f64()).ok()
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
    let requires = definition.requires_compatibilities().iter().map(Compatibility::as_str);
    TaskDefinition {
        family: definition.family().unwrap_or_default().to_owned(),
        active: !matches!(definition.status(), Some(TaskDefinitionStatus::Inactive)),
        network_mode: definition.network_mode().map(|mode| mode.as_str()).unwrap_or("").to_owned(),
        requires: requires.map(str::to_owned).collect(),
        cpu: number(definition.cpu()),
        memory: number(definition.memory()),
        storage: definition.ephemeral_storage().map(|storage| positive(storage.size_in_gib())),
        architecture: match definition.runtime_platform().and_then(|p| p.cpu_architecture()) {
            Some(CpuArchitecture::Arm64) => Architecture::Arm,
            _ => Architecture::X86,
        },
        containers: containers.collect(),
    }
}
