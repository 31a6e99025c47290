//! The task definition, and the checks of the template against it.

use std::time::Duration;

use super::super::fargate;
use super::super::providers::Platform;
use super::super::task::LogLocation;
use super::{STOP_TIMEOUT, TaskTemplate};
use crate::backend::aws::settings::HowToSet;
use crate::cost::{Architecture, InstanceSize};

/// The capacity provider whose tasks run on spare capacity, at a lower price.
const FARGATE_SPOT: &str = "FARGATE_SPOT";

/// The parts of a task definition that the backend checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::backend::ecs) struct TaskDefinition {
    pub(in crate::backend::ecs) family: String,
    pub(in crate::backend::ecs) active: bool,
    /// `awsvpc`, which Fargate needs: each task has a network interface of its own.
    pub(in crate::backend::ecs) network_mode: String,
    /// Its required compatibilities, such as `FARGATE` and `EC2`. If it names none, ECS accepts
    /// whatever fits.
    pub(in crate::backend::ecs) requires: Vec<String>,
    pub(in crate::backend::ecs) cpu: Option<u32>,
    pub(in crate::backend::ecs) memory: Option<u32>,
    /// Its ephemeral storage in GiB, if it sets one.
    pub(in crate::backend::ecs) storage: Option<u32>,
    pub(in crate::backend::ecs) architecture: Architecture,
    pub(in crate::backend::ecs) containers: Vec<ContainerDefinition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::backend::ecs) struct ContainerDefinition {
    pub(in crate::backend::ecs) name: String,
    pub(in crate::backend::ecs) cpu: u32,
    /// Its memory limit or, without one, its memory reservation.
    pub(in crate::backend::ecs) memory: u32,
    pub(in crate::backend::ecs) stop_timeout: Option<u32>,
    /// Whether it is not `essential`, so that the task outlives it.
    pub(in crate::backend::ecs) optional: bool,
    /// Whether its `restartPolicy` is enabled, so that ECS restarts it when it exits.
    pub(in crate::backend::ecs) restarts: bool,
    /// Whether the log `mode` is `blocking`, so that printing blocks while the log driver can't
    /// keep up.
    pub(in crate::backend::ecs) blocking_log: bool,
    /// Where its log is, if that is CloudWatch Logs.
    pub(in crate::backend::ecs) log: Option<LogLocation>,
}

impl TaskTemplate {
    /// Completes the template from the task definition. Without one, because this process may not
    /// read it, the settings must be complete. Everything that does not fit is appended to
    /// `problems`.
    pub(in crate::backend::ecs) fn fit(
        &mut self,
        definition: Option<&TaskDefinition>,
        shutdown: Duration,
        problems: &mut Vec<String>,
    ) {
        match definition {
            Some(definition) => self.fit_to(definition, shutdown, problems),
            None => {
                if self.container.is_empty() {
                    let place = HowToSet("ecs", "container");
                    problems.push(format!("`container` is missing: set {place}"));
                }
                if self.platform == Platform::Fargate && self.cpu.is_some() != self.memory.is_some()
                {
                    problems.push("only one of `cpu` and `memory` is set: set both".to_owned());
                }
                (self.container_cpu, self.container_memory) = (self.cpu, self.memory);
                // A window longer than the default implies a longer `stopTimeout`.
                let window = u32::try_from(shutdown.as_secs()).unwrap_or(u32::MAX);
                self.stop_timeout = window.max(STOP_TIMEOUT);
            }
        }
    }

    /// What a task is paid for. Its size is unknown if neither the settings nor the task definition
    /// has it. On instances nothing is paid for a task, but for the instance.
    pub(in crate::backend::ecs) fn size(
        &self,
        definition: Option<&TaskDefinition>,
    ) -> InstanceSize {
        if self.platform == Platform::Instances {
            return InstanceSize::Unknown;
        }
        let cpu = self.cpu.or_else(|| definition?.cpu);
        let memory = self.memory.or_else(|| definition?.memory);
        let (Some(cpu), Some(memory)) = (cpu, memory) else { return InstanceSize::Unknown };
        let storage = self.ephemeral_storage.or_else(|| definition?.storage).unwrap_or(20);
        let architecture = definition.map(|found| found.architecture).unwrap_or_default();
        let weights = |spot: bool| {
            let those = self.providers.iter().filter(|one| (one.name == FARGATE_SPOT) == spot);
            those.map(|provider| f64::from(provider.weight)).sum::<f64>()
        };
        let (spot, other) = (weights(true), weights(false));
        let spot = if spot > 0.0 { spot / (spot + other) } else { 0.0 };
        InstanceSize::Fargate { cpu, memory, storage, architecture, spot }
    }

    fn fit_to(
        &mut self,
        definition: &TaskDefinition,
        shutdown: Duration,
        problems: &mut Vec<String>,
    ) {
        self.fit_platform(definition, problems);
        let name = &self.task_definition;
        if !definition.active {
            problems
                .push(format!("the task definition {name} is not active: register a new revision"));
        }
        if let ([only], true) = (definition.containers.as_slice(), self.container.is_empty()) {
            self.container.clone_from(&only.name);
        }
        let (own, others): (Vec<_>, Vec<_>) =
            definition.containers.iter().partition(|own| own.name == self.container);
        let Some(own) = own.first() else {
            let names: Vec<_> = definition.containers.iter().map(|c| c.name.as_str()).collect();
            let (container, place) = (&self.container, HowToSet("ecs", "container"));
            problems.push(format!(
                "`container` is `{container}`, but the task definition {name} has {}: set {place}",
                names.join(", ")
            ));
            return;
        };
        // A runner ends its task by exiting, and a FLAME_PARENT is valid for one start.
        if own.optional {
            problems.push(format!(
                "the container `{}` of the task definition {name} is not `essential`: the task \
                 would keep running, and costing, after the runner has exited; set `essential` to \
                 true",
                own.name
            ));
        }
        if own.restarts {
            problems.push(format!(
                "the container `{}` of the task definition {name} has a `restartPolicy`: ECS would \
                 restart a runner that has exited, again and again; disable the policy",
                own.name
            ));
        }
        let stop_timeout = own.stop_timeout.unwrap_or(STOP_TIMEOUT);
        self.stop_timeout = stop_timeout;
        if shutdown > Duration::from_secs(stop_timeout.into()) {
            problems.push(format!(
                "the pool's `shutdown_timeout` is {shutdown:?}, but ECS kills a stopping container \
                 after its `stopTimeout`, which is {stop_timeout} s: raise `stopTimeout` in the \
                 task definition (Fargate allows up to 120 s), or lower `shutdown_timeout`"
            ));
        }
        self.fit_size(definition, &others, problems);
    }

    /// Checks that the task definition is for the platform, and whether tasks have a network
    /// interface of their own.
    fn fit_platform(&mut self, definition: &TaskDefinition, problems: &mut Vec<String>) {
        let TaskDefinition { requires, network_mode, .. } = definition;
        let name = &self.task_definition;
        let has_interface = network_mode == "awsvpc";
        let is_for =
            |platform: &str| requires.is_empty() || requires.iter().any(|it| it == platform);
        match self.platform {
            Platform::Fargate if !is_for("FARGATE") || !has_interface => problems.push(format!(
                "the task definition {name} is not for Fargate: it needs the network mode \
                 `awsvpc` and the compatibility FARGATE; to run on instances, name their capacity \
                 provider (`capacity_provider`)"
            )),
            Platform::Instances if !is_for("EC2") && !is_for("MANAGED_INSTANCES") => {
                problems.push(format!(
                    "the task definition {name} is only for {}, and the capacity provider has \
                     instances: register it with the compatibility EC2 or MANAGED_INSTANCES",
                    requires.join(", ")
                ));
            }
            Platform::Instances if has_interface => self.require_subnets(problems),
            Platform::Instances => {
                self.subnets.clear();
                self.security_groups.clear();
            }
            Platform::Fargate => {}
        }
    }

    /// Gives the app's container what the task's other containers leave of its size.
    fn fit_size(
        &mut self,
        definition: &TaskDefinition,
        others: &[&ContainerDefinition],
        problems: &mut Vec<String>,
    ) {
        if self.cpu.is_none() && self.memory.is_none() {
            return;
        }
        self.cpu = self.cpu.or(definition.cpu);
        self.memory = self.memory.or(definition.memory);
        if self.platform == Platform::Fargate {
            let (Some(cpu), Some(memory)) = (self.cpu, self.memory) else {
                problems.push("only one of `cpu` and `memory` is set: set both".to_owned());
                return;
            };
            if let Err(error) = fargate::check(cpu, memory) {
                // `resolve` may have reported the same two values.
                if !problems.contains(&error) {
                    problems.push(error);
                }
                return;
            }
        }
        let used = |size: fn(&ContainerDefinition) -> u32| {
            others.iter().fold(0, |sum: u32, other| sum.saturating_add(size(other)))
        };
        let mut left = |name: &str, all: Option<u32>, used: u32| {
            let left = all?.checked_sub(used).filter(|left| *left > 0);
            if left.is_none() {
                let (all, container) = (all.unwrap_or_default(), &self.container);
                problems.push(format!(
                    "`{name}` {all} leaves nothing for the container `{container}`, since the task \
                     definition's other containers use it all: raise it"
                ));
            }
            left
        };
        self.container_cpu = left("cpu", self.cpu, used(|other| other.cpu));
        self.container_memory = left("memory", self.memory, used(|other| other.memory));
    }
}
