//! What a backend boots, out of the builder, the environment and the task that the parent runs in.
//!
//! Pure: [`Plan::resolve`] finds all that is missing or wrong before any call; [`Plan::fit`] does so
//! with what ECS says of the task definition. Both add to a list, out of which [`refusal`] makes one
//! error.

use std::collections::BTreeSet;
use std::time::Duration;

use flame_runner_shim::host::ecs;
use flame_wire::parent::FlameParent;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::builder::EcsBuilder;
use super::fargate;
use super::request;
use super::task::Log;
use crate::backend::BackendError;
use crate::backend::aws::settings::{Names, Settings, Where};

/// The settings that the environment may have.
pub(super) const NAMES: Names = Names { texts: TEXTS, pairs: &["env", "tags"] };
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
/// The most tags of a task, less those of ours (AWS documentation, RunTask).
const MAX_TAGS: usize = 45;
/// The lengths of a tag, in characters (botocore 1.44.8, ecs 2014-11-13, `TagKey`, `TagValue`).
const MAX_TAG_NAME: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// What a container has where its definition does not say (AWS documentation,
/// ContainerDefinition, `stopTimeout`).
const STOP_TIMEOUT: u32 = 30;

/// A capacity provider, and how often it is tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) weight: u32,
}

/// The task that the parent runs in: the default of what it boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) cluster: String,
    pub(super) task: String,
    pub(super) task_definition: String,
    pub(super) container: Option<String>,
    /// Those that its network interface is in, as far as they are known: one.
    pub(super) subnets: Vec<String>,
}

/// All that is the same for each task of a backend.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) cluster: String,
    pub(super) task_definition: String,
    /// Empty until it is known: see [`Plan::fit`].
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
    pub(super) providers: Vec<Share>,
    pub(super) env: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    /// From SIGTERM to SIGKILL, in seconds; known by [`Plan::fit`].
    pub(super) stop_timeout: u32,
}

/// What is looked at of a task definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Definition {
    pub(super) family: String,
    pub(super) active: bool,
    /// `awsvpc`, which Fargate needs.
    pub(super) network_mode: String,
    /// Whether it is said to be for Fargate; `None` if it does not say.
    pub(super) fargate: Option<bool>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) containers: Vec<ContainerDefinition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ContainerDefinition {
    pub(super) name: String,
    pub(super) cpu: u32,
    /// Its limit, or else what is reserved for it.
    pub(super) memory: u32,
    pub(super) stop_timeout: Option<u32>,
    /// Not `essential`: the task outlives it.
    pub(super) optional: bool,
    /// Its `restartPolicy` is enabled: it begins anew when it has ended.
    pub(super) restarts: bool,
    /// Who prints waits while its log driver can't keep up: `mode` is `blocking`.
    pub(super) blocking_log: bool,
    pub(super) log: Option<Log>,
}

impl Plan {
    /// The plan, as far as it is known before ECS is asked; what is missing or wrong is added.
    pub(super) fn resolve(
        builder: &EcsBuilder,
        settings: &Settings,
        home: Option<&Home>,
        wrong: &mut Vec<String>,
    ) -> Self {
        let mut found = Finder { settings, wrong };
        let mut plan = Plan {
            cluster: found.text("cluster", &builder.cluster, home.map(|home| &home.cluster)),
            task_definition: found.text(
                "task_definition",
                &builder.task_definition,
                home.map(|home| &home.task_definition),
            ),
            container: String::new(),
            subnets: found.list("subnets", &builder.subnets, home.map(|home| &*home.subnets)),
            security_groups: found.list("security_groups", &builder.security_groups, None),
            public_ip: found.number("assign_public_ip", builder.public_ip).unwrap_or(false),
            platform_version: builder
                .platform_version
                .clone()
                .or_else(|| settings.text("platform_version")),
            cpu: found.number("cpu", builder.cpu),
            memory: found.number("memory", builder.memory),
            container_cpu: None,
            container_memory: None,
            ephemeral_storage: found.number("ephemeral_storage", builder.ephemeral_storage),
            providers: found.providers(&builder.providers),
            env: merged(settings.pairs("env"), &builder.env),
            tags: merged(settings.pairs("tags"), &builder.tags),
            stop_timeout: STOP_TIMEOUT,
        };
        // Another task definition than the parent's own has other containers.
        let own = home.filter(|home| home.task_definition == plan.task_definition);
        let container = builder.container.clone().or_else(|| settings.text("container"));
        plan.container =
            container.or_else(|| own.and_then(|home| home.container.clone())).unwrap_or_default();
        if plan.subnets.is_empty() {
            let place = Where("ecs", "subnets");
            wrong.push(format!(
                "`subnets` is missing: set {place}; on ECS that of this process's own task is the \
                 default, where it may call ecs:DescribeTasks"
            ));
        }
        plan.check(wrong);
        plan
    }

    fn check(&self, wrong: &mut Vec<String>) {
        let mut must = |fine: bool, why: String| {
            if !fine {
                wrong.push(why);
            }
        };
        let (subnets, groups) = (self.subnets.len(), self.security_groups.len());
        must(
            subnets <= MAX_SUBNETS,
            format!("`subnets` has {subnets}: a task may have {MAX_SUBNETS}"),
        );
        must(
            groups <= MAX_SECURITY_GROUPS,
            format!("`security_groups` has {groups}: a task may have {MAX_SECURITY_GROUPS}"),
        );
        for (name, _) in &self.env {
            must(
                name != FlameParent::ENV && name != ecs::STOP_TIMEOUT_ENV,
                format!("`env` sets {name}, which is the pool's to set: leave it out"),
            );
            must(
                !name.is_empty() && !name.contains('='),
                format!("`env` sets `{name}`, which is no name of a variable"),
            );
        }
        let tags = self.tags.len();
        must(tags <= MAX_TAGS, format!("`tags` has {tags}: a task may have {MAX_TAGS}"));
        let mut seen = BTreeSet::new();
        for (name, value) in &self.tags {
            let of_aws = |text: &str| text.to_lowercase().starts_with("aws:");
            must(
                !of_aws(name) && !name.starts_with("flame:"),
                format!("`tags` has `{name}`: `aws:` and `flame:` are reserved"),
            );
            must(
                !of_aws(value),
                format!("`tags` has `{name}` = `{value}`: a value must not begin with `aws:`"),
            );
            must(
                (1..=MAX_TAG_NAME).contains(&name.chars().count())
                    && value.chars().count() <= MAX_TAG_VALUE,
                format!(
                    "`tags` has `{name}`: a name has 1 to {MAX_TAG_NAME} characters, a value at \
                     most {MAX_TAG_VALUE}"
                ),
            );
            must(
                name.chars().chain(value.chars()).all(is_of_a_tag),
                format!(
                    "`tags` has `{name}` = `{value}`: names and values may have letters, numbers, \
                     spaces, and `_.:/=+-@`"
                ),
            );
            must(seen.insert(name), format!("`tags` has `{name}` twice: a name has one value"));
        }
        if let (Some(cpu), Some(memory)) = (self.cpu, self.memory) {
            wrong.extend(fargate::check(cpu, memory).err());
        }
        wrong.extend(self.ephemeral_storage.and_then(|gib| fargate::check_storage(gib).err()));
        wrong.extend(request::check_longest(self).err());
    }

    /// Completes the plan by what ECS says of the task definition, or, where it may not be asked,
    /// by what must then be set; what does not fit is added.
    pub(super) fn fit(
        &mut self,
        definition: Option<&Definition>,
        shutdown: Duration,
        wrong: &mut Vec<String>,
    ) {
        match definition {
            Some(definition) => self.fit_to(definition, shutdown, wrong),
            None => {
                if self.container.is_empty() {
                    let place = Where("ecs", "container");
                    wrong.push(format!("`container` is missing: set {place}"));
                }
                if self.cpu.is_some() != self.memory.is_some() {
                    wrong.push("only one of `cpu` and `memory` is set: set both".to_owned());
                }
                (self.container_cpu, self.container_memory) = (self.cpu, self.memory);
                // Who sets a longer window knows of a longer `stopTimeout`.
                let window = u32::try_from(shutdown.as_secs()).unwrap_or(u32::MAX);
                self.stop_timeout = window.max(STOP_TIMEOUT);
            }
        }
    }

    fn fit_to(&mut self, definition: &Definition, shutdown: Duration, wrong: &mut Vec<String>) {
        let name = &self.task_definition;
        if !definition.active {
            wrong.push(format!("the task definition {name} is not active: register a new one"));
        }
        if definition.fargate == Some(false) || definition.network_mode != "awsvpc" {
            wrong.push(format!(
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
            let (container, place) = (&self.container, Where("ecs", "container"));
            wrong.push(format!(
                "`container` is `{container}`, and the task definition {name} has {}: set {place}",
                names.join(", ")
            ));
            return;
        };
        // A runner ends its task by its exit, and FLAME_PARENT is good for one start.
        if own.optional {
            wrong.push(format!(
                "the container `{}` of the task definition {name} is not `essential`: its task \
                 would run on without it, and be billed; set `essential` to true",
                own.name
            ));
        }
        if own.restarts {
            wrong.push(format!(
                "the container `{}` of the task definition {name} has a `restartPolicy`: a runner \
                 that has ended would be started again and again, to no use; disable it",
                own.name
            ));
        }
        let stop_timeout = own.stop_timeout.unwrap_or(STOP_TIMEOUT);
        self.stop_timeout = stop_timeout;
        if shutdown > Duration::from_secs(stop_timeout.into()) {
            wrong.push(format!(
                "the pool's `shutdown_timeout` is {shutdown:?}, but a container that is told to \
                 end is killed after its `stopTimeout`, which is {stop_timeout} s: set that to \
                 120, the most that Fargate takes, or lower `shutdown_timeout`"
            ));
        }
        self.fit_size(definition, &others, wrong);
    }

    /// What the task gets more, its container gets: what the others have is theirs.
    fn fit_size(
        &mut self,
        definition: &Definition,
        others: &[&ContainerDefinition],
        wrong: &mut Vec<String>,
    ) {
        if self.cpu.is_none() && self.memory.is_none() {
            return;
        }
        self.cpu = self.cpu.or(definition.cpu);
        self.memory = self.memory.or(definition.memory);
        let (Some(cpu), Some(memory)) = (self.cpu, self.memory) else {
            wrong.push("only one of `cpu` and `memory` is set: set both".to_owned());
            return;
        };
        if let Err(error) = fargate::check(cpu, memory) {
            // It may have been told before, of the same two values.
            if !wrong.contains(&error) {
                wrong.push(error);
            }
            return;
        }
        let taken = |of: fn(&ContainerDefinition) -> u32| {
            others.iter().fold(0, |sum: u32, other| sum.saturating_add(of(other)))
        };
        let left = |all: u32, taken: u32| all.checked_sub(taken).filter(|left| *left > 0);
        let cpu_left = left(cpu, taken(|other| other.cpu));
        let memory_left = left(memory, taken(|other| other.memory));
        if cpu_left.is_none() || memory_left.is_none() {
            wrong.push(format!(
                "`cpu` {cpu} and `memory` {memory} leave nothing for the container `{}` beside \
                 the others of its task definition: raise them",
                self.container
            ));
        }
        (self.container_cpu, self.container_memory) = (cpu_left, memory_left);
    }
}

/// What a tag may have: `[\p{L}\p{Z}\p{N}_.:/=+\-@]` (botocore 1.44.8, ecs 2014-11-13, `TagKey`).
fn is_of_a_tag(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let groups = [
        GeneralCategoryGroup::Letter,
        GeneralCategoryGroup::Separator,
        GeneralCategoryGroup::Number,
    ];
    "_.:/=+-@".contains(c) || groups.iter().any(|group| group.contains(category))
}

/// One error for all that is missing or wrong.
///
/// # Errors
/// [`BackendError`], unless there is nothing.
pub(super) fn refusal(wrong: Vec<String>) -> Result<(), BackendError> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(BackendError::new(format!("the ECS backend can't boot: {}", wrong.join("; "))))
}

/// The pairs of the environment, and those of the builder, which go before them.
fn merged(settings: &[(String, String)], built: &[(String, String)]) -> Vec<(String, String)> {
    let is_built = |name: &str| built.iter().any(|(built, _)| built == name);
    let left = settings.iter().filter(|(name, _)| !is_built(name));
    left.chain(built).cloned().collect()
}

/// Looks for a setting: the builder's, else the environment's; keeps what is wrong.
struct Finder<'a> {
    settings: &'a Settings,
    wrong: &'a mut Vec<String>,
}

impl Finder<'_> {
    fn text(
        &mut self,
        name: &'static str,
        built: &Option<String>,
        home: Option<&String>,
    ) -> String {
        let found = built.clone().filter(|text| !text.is_empty());
        let found = found.or_else(|| self.settings.text(name)).or_else(|| home.cloned());
        if found.is_none() {
            let place = Where("ecs", name);
            self.wrong.push(format!("`{name}` is missing: set {place}"));
        }
        found.unwrap_or_default()
    }

    fn list(&self, name: &str, built: &[String], home: Option<&[String]>) -> Vec<String> {
        let set = if built.is_empty() { self.settings.list(name) } else { built.to_vec() };
        if set.is_empty() { home.unwrap_or_default().to_vec() } else { set }
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, built: Option<T>) -> Option<T> {
        if built.is_some() {
            return built;
        }
        self.settings.parsed(name).unwrap_or_else(|error| {
            self.wrong.push(error);
            None
        })
    }

    fn providers(&mut self, built: &[(String, u32)]) -> Vec<Share> {
        if !built.is_empty() {
            let share =
                |(name, weight): &(String, u32)| Share { name: name.clone(), weight: *weight };
            return built.iter().map(share).collect();
        }
        let texts = self.settings.list("capacity_provider");
        let shares = texts.iter().filter_map(|text| {
            let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
            let share = weight.trim().parse().ok().filter(|_| !name.trim().is_empty());
            if share.is_none() {
                self.wrong.push(format!(
                    "`capacity_provider` has `{text}`: write `NAME` or `NAME=weight`, such as \
                     `FARGATE_SPOT=3,FARGATE=1`"
                ));
            }
            share.map(|weight| Share { name: name.trim().to_owned(), weight })
        });
        shares.collect()
    }
}

#[cfg(test)]
mod tests;
