//! What all tasks of a backend have in common, from the builder, the environment and the parent's own
//! task.
//!
//! Pure: [`TaskTemplate::resolve`] finds every problem that is visible without asking ECS.
//! [`TaskTemplate::fit`] checks the template against the task definition. Both append to a list of
//! problems, and [`check_problems`] turns that list into one error.

use std::collections::BTreeSet;
use std::time::Duration;

use flame_runner_shim::host::ecs;
use flame_wire::parent::FlameParent;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::builder::EcsBuilder;
use super::fargate;
use super::request;
use super::task::LogLocation;
use crate::backend::BackendError;
use crate::backend::aws::settings::{HowToSet, SettingNames, Settings};

/// The settings that the environment may contain.
pub(super) const NAMES: SettingNames = SettingNames { texts: TEXTS, maps: &["env", "tags"] };
const TEXTS: &[&str] = &[
    "cluster",
    "task_definition",
    "container",
    "subnets",
    "security_groups",
    "assign_public_ip",
    "cpu",
    "memory",
    "ephemeral_storage",
    "capacity_provider",
    "platform_version",
    "region",
    "endpoint_url",
];

/// The most subnets and security groups that a task may have (AWS documentation,
/// AwsVpcConfiguration).
const MAX_SUBNETS: usize = 16;
const MAX_SECURITY_GROUPS: usize = 5;
/// The most tags of a task, 50, less the five that the backend sets (AWS documentation, RunTask).
const MAX_TAGS: usize = 45;
/// The most characters of a tag (botocore 1.44.8, ecs 2014-11-13, `TagKey`, `TagValue`).
const MAX_TAG_NAME: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// The default of a container's `stopTimeout`, in seconds (AWS documentation, ContainerDefinition).
const STOP_TIMEOUT: u32 = 30;

/// A capacity provider, and its share of the runners that try it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CapacityProvider {
    pub(super) name: String,
    pub(super) weight: u32,
}

/// The task that the parent runs in. It gives the defaults of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParentTask {
    pub(super) cluster: String,
    pub(super) task: String,
    pub(super) task_definition: String,
    pub(super) container: Option<String>,
    /// The subnet of its network interface; empty if it is not known.
    pub(super) subnets: Vec<String>,
}

/// The settings that all tasks of a backend share.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct TaskTemplate {
    pub(super) cluster: String,
    pub(super) task_definition: String,
    /// Empty until [`TaskTemplate::fit`] finds it.
    pub(super) container: String,
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) public_ip: bool,
    pub(super) platform_version: Option<String>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) container_cpu: Option<u32>,
    pub(super) container_memory: Option<u32>,
    pub(super) ephemeral_storage: Option<u32>,
    pub(super) providers: Vec<CapacityProvider>,
    pub(super) env: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    /// The time from SIGTERM to SIGKILL, in seconds, set by [`TaskTemplate::fit`].
    pub(super) stop_timeout: u32,
}

/// The parts of a task definition that the backend checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TaskDefinition {
    pub(super) family: String,
    pub(super) active: bool,
    /// `awsvpc`, which Fargate needs.
    pub(super) network_mode: String,
    /// Whether its required compatibilities include Fargate; `None` if it names none.
    pub(super) fargate: Option<bool>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) containers: Vec<ContainerDefinition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ContainerDefinition {
    pub(super) name: String,
    pub(super) cpu: u32,
    /// Its memory limit or, without one, its memory reservation.
    pub(super) memory: u32,
    pub(super) stop_timeout: Option<u32>,
    /// Whether it is not `essential`, so that the task outlives it.
    pub(super) optional: bool,
    /// Whether its `restartPolicy` is enabled, so that ECS restarts it when it exits.
    pub(super) restarts: bool,
    /// Whether the log `mode` is `blocking`, so that printing blocks while the log driver can't keep
    /// up.
    pub(super) blocking_log: bool,
    /// Where its log is, if that is CloudWatch Logs.
    pub(super) log: Option<LogLocation>,
}

impl TaskTemplate {
    /// The template, as far as it is known before ECS is asked. Missing and invalid settings are
    /// appended to `problems`.
    pub(super) fn resolve(
        builder: &EcsBuilder,
        settings: &Settings,
        parent: Option<&ParentTask>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut setting = SettingLookup { settings, problems };
        let mut template = TaskTemplate {
            cluster: setting.text(
                "cluster",
                &builder.cluster,
                parent.map(|parent| &parent.cluster),
            ),
            task_definition: setting.text(
                "task_definition",
                &builder.task_definition,
                parent.map(|parent| &parent.task_definition),
            ),
            container: String::new(),
            subnets: setting.list(
                "subnets",
                &builder.subnets,
                parent.map(|parent| &*parent.subnets),
            ),
            security_groups: setting.list("security_groups", &builder.security_groups, None),
            public_ip: setting.number("assign_public_ip", builder.public_ip).unwrap_or(false),
            platform_version: builder
                .platform_version
                .clone()
                .or_else(|| settings.text("platform_version")),
            cpu: setting.number("cpu", builder.cpu),
            memory: setting.number("memory", builder.memory),
            container_cpu: None,
            container_memory: None,
            ephemeral_storage: setting.number("ephemeral_storage", builder.ephemeral_storage),
            providers: setting.providers(&builder.providers),
            env: merged(settings.map("env"), &builder.env),
            tags: merged(settings.map("tags"), &builder.tags),
            stop_timeout: STOP_TIMEOUT,
        };
        // The parent's container is a default only for the parent's own task definition.
        let own = parent.filter(|parent| parent.task_definition == template.task_definition);
        let container = builder.container.clone().or_else(|| settings.text("container"));
        template.container = container
            .or_else(|| own.and_then(|parent| parent.container.clone()))
            .unwrap_or_default();
        if template.subnets.is_empty() {
            let place = HowToSet("ecs", "subnets");
            problems.push(format!(
                "`subnets` is missing: set {place}; on ECS the default is the subnet of this \
                 process's own task, if this process may call ecs:DescribeTasks"
            ));
        }
        template.check(problems);
        template
    }

    fn check(&self, problems: &mut Vec<String>) {
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let (subnets, groups) = (self.subnets.len(), self.security_groups.len());
        require(
            subnets <= MAX_SUBNETS,
            format!("`subnets` has {subnets} subnets: a task may have {MAX_SUBNETS}"),
        );
        require(
            groups <= MAX_SECURITY_GROUPS,
            format!("`security_groups` has {groups} groups: a task may have {MAX_SECURITY_GROUPS}"),
        );
        for (name, _) in &self.env {
            require(
                name != FlameParent::ENV && name != ecs::STOP_TIMEOUT,
                format!("`env` sets {name}, which the pool sets itself: remove it"),
            );
            require(
                !name.is_empty() && !name.contains('='),
                format!("`env` sets `{name}`, which is not a valid variable name"),
            );
        }
        let tags = self.tags.len();
        require(tags <= MAX_TAGS, format!("`tags` has {tags} tags: set at most {MAX_TAGS}"));
        let mut seen = BTreeSet::new();
        for (name, value) in &self.tags {
            let is_reserved = |text: &str| text.to_lowercase().starts_with("aws:");
            require(
                !is_reserved(name) && !name.starts_with("flame:"),
                format!("`tags` has `{name}`: the prefixes `aws:` and `flame:` are reserved"),
            );
            require(
                !is_reserved(value),
                format!("`tags` has `{name}` = `{value}`: a value must not begin with `aws:`"),
            );
            require(
                (1..=MAX_TAG_NAME).contains(&name.chars().count())
                    && value.chars().count() <= MAX_TAG_VALUE,
                format!(
                    "`tags` has `{name}`: a name must have 1 to {MAX_TAG_NAME} characters, and a \
                     value at most {MAX_TAG_VALUE}"
                ),
            );
            require(
                name.chars().chain(value.chars()).all(is_tag_char),
                format!(
                    "`tags` has `{name}` = `{value}`: names and values may have letters, numbers, \
                     spaces, and `_.:/=+-@`"
                ),
            );
            require(seen.insert(name), format!("`tags` has `{name}` twice: set each name once"));
        }
        if let (Some(cpu), Some(memory)) = (self.cpu, self.memory) {
            problems.extend(fargate::check(cpu, memory).err());
        }
        problems.extend(self.ephemeral_storage.and_then(|gib| fargate::check_storage(gib).err()));
        problems.extend(request::check_longest(self).err());
    }

    /// Completes the template from the task definition. Without one, because this process may not
    /// read it, the settings must be complete. Everything that does not fit is appended to
    /// `problems`.
    pub(super) fn fit(
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
                if self.cpu.is_some() != self.memory.is_some() {
                    problems.push("only one of `cpu` and `memory` is set: set both".to_owned());
                }
                (self.container_cpu, self.container_memory) = (self.cpu, self.memory);
                // A window longer than the default implies a longer `stopTimeout`.
                let window = u32::try_from(shutdown.as_secs()).unwrap_or(u32::MAX);
                self.stop_timeout = window.max(STOP_TIMEOUT);
            }
        }
    }

    fn fit_to(
        &mut self,
        definition: &TaskDefinition,
        shutdown: Duration,
        problems: &mut Vec<String>,
    ) {
        let name = &self.task_definition;
        if !definition.active {
            problems
                .push(format!("the task definition {name} is not active: register a new revision"));
        }
        if definition.fargate == Some(false) || definition.network_mode != "awsvpc" {
            problems.push(format!(
                "the task definition {name} is not for Fargate: it needs the network mode \
                 `awsvpc` and the compatibility FARGATE"
            ));
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
        let used = |size: fn(&ContainerDefinition) -> u32| {
            others.iter().fold(0, |sum: u32, other| sum.saturating_add(size(other)))
        };
        let left = |all: u32, used: u32| all.checked_sub(used).filter(|left| *left > 0);
        let cpu_left = left(cpu, used(|other| other.cpu));
        let memory_left = left(memory, used(|other| other.memory));
        if cpu_left.is_none() || memory_left.is_none() {
            problems.push(format!(
                "`cpu` {cpu} and `memory` {memory} leave nothing for the container `{}`, since the \
                 task definition's other containers use it all: raise them",
                self.container
            ));
        }
        (self.container_cpu, self.container_memory) = (cpu_left, memory_left);
    }
}

/// Whether a tag may contain the character: `[\p{L}\p{Z}\p{N}_.:/=+\-@]` (botocore 1.44.8, ecs
/// 2014-11-13, `TagKey`).
fn is_tag_char(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let groups = [
        GeneralCategoryGroup::Letter,
        GeneralCategoryGroup::Separator,
        GeneralCategoryGroup::Number,
    ];
    "_.:/=+-@".contains(c) || groups.iter().any(|group| group.contains(category))
}

/// Turns all problems into one error.
///
/// # Errors
/// [`BackendError`] if there is a problem.
pub(super) fn check_problems(problems: Vec<String>) -> Result<(), BackendError> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(BackendError::new(format!("the ECS backend can't start: {}", problems.join("; "))))
}

/// The pairs of the environment and of the builder. The builder's take precedence.
fn merged(settings: &[(String, String)], built: &[(String, String)]) -> Vec<(String, String)> {
    let is_built = |name: &str| built.iter().any(|(built, _)| built == name);
    settings.iter().filter(|(name, _)| !is_built(name)).chain(built).cloned().collect()
}

/// Looks a setting up: the builder's value, or else the environment's. Collects problems.
struct SettingLookup<'a> {
    settings: &'a Settings,
    problems: &'a mut Vec<String>,
}

impl SettingLookup<'_> {
    fn text(
        &mut self,
        name: &'static str,
        built: &Option<String>,
        parent: Option<&String>,
    ) -> String {
        let found = built.clone().filter(|text| !text.is_empty());
        let found = found.or_else(|| self.settings.text(name)).or_else(|| parent.cloned());
        if found.is_none() {
            let place = HowToSet("ecs", name);
            self.problems.push(format!("`{name}` is missing: set {place}"));
        }
        found.unwrap_or_default()
    }

    fn list(&self, name: &str, built: &[String], parent: Option<&[String]>) -> Vec<String> {
        let set = if built.is_empty() { self.settings.list(name) } else { built.to_vec() };
        if set.is_empty() { parent.unwrap_or_default().to_vec() } else { set }
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, built: Option<T>) -> Option<T> {
        if built.is_some() {
            return built;
        }
        self.settings.parsed(name).unwrap_or_else(|error| {
            self.problems.push(error);
            None
        })
    }

    fn providers(&mut self, built: &[(String, u32)]) -> Vec<CapacityProvider> {
        if !built.is_empty() {
            let share = |(name, weight): &(String, u32)| CapacityProvider {
                name: name.clone(),
                weight: *weight,
            };
            return built.iter().map(share).collect();
        }
        let texts = self.settings.list("capacity_provider");
        let shares = texts.iter().filter_map(|text| {
            let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
            let share = weight.trim().parse().ok().filter(|_| !name.trim().is_empty());
            if share.is_none() {
                self.problems.push(format!(
                    "`capacity_provider` has `{text}`: write `NAME` or `NAME=weight`, such as \
                     `FARGATE_SPOT=3,FARGATE=1`"
                ));
            }
            share.map(|weight| CapacityProvider { name: name.trim().to_owned(), weight })
        });
        shares.collect()
    }
}

#[cfg(test)]
mod tests;
