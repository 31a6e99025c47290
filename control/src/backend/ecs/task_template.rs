//! What all tasks of a backend have in common, from the builder, the environment and the parent's
//! own task.
//!
//! Pure: [`TaskTemplate::resolve`] finds every wrong setting that is visible without asking ECS.
//! [`TaskTemplate::fit`] checks the template against the task definition. Both append to a list of
//! problems, and [`check_problems`] turns that list into one error.

use std::collections::BTreeSet;

use flame_runner_shim::host;
use flame_wire::parent::FlameParent;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::builder::EcsBuilder;
use super::fargate;
use super::providers::{self, CapacityProvider, Platform};
use crate::backend::BackendError;
use crate::backend::aws::settings::{HowToSet, SettingNames, Settings};
use crate::size::Size;

mod definition;

pub(super) use definition::{ContainerDefinition, TaskDefinition};

/// The settings that the environment may contain.
pub(super) const NAMES: SettingNames = SettingNames { texts: TEXTS, maps: &["env", "tags"] };
const TEXTS: &[&str] = &[
    "cluster",
    "task_definition",
    "container",
    "subnets",
    "security_groups",
    "assign_public_ip",
    "enable_execute_command",
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
    pub(super) platform: Platform,
    pub(super) cluster: String,
    pub(super) task_definition: String,
    /// Empty until [`TaskTemplate::fit`] finds it.
    pub(super) container: String,
    /// Empty if the task has no network interface of its own, but its instance's.
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) public_ip: bool,
    pub(super) execute_command: bool,
    pub(super) platform_version: Option<String>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) container_cpu: Option<u32>,
    pub(super) container_memory: Option<u32>,
    pub(super) ephemeral_storage: Option<u32>,
    pub(super) gpus: Option<u32>,
    pub(super) providers: Vec<CapacityProvider>,
    pub(super) env: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    /// The time from SIGTERM to SIGKILL, in seconds, set by [`TaskTemplate::fit`].
    pub(super) stop_timeout: u32,
}

impl TaskTemplate {
    /// The template, as far as it is known before ECS is asked. Missing and invalid settings are
    /// appended to `problems`.
    pub(super) fn resolve(
        builder: &EcsBuilder,
        settings: &Settings,
        parent: Option<&ParentTask>,
        size: &Size,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut setting = SettingLookup { settings, problems };
        let providers = setting.providers(&builder.providers);
        let platform = providers::platform(&providers).unwrap_or_else(|problem| {
            setting.problems.push(problem);
            Platform::Fargate
        });
        let mut template = TaskTemplate {
            platform,
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
            execute_command: setting
                .number("enable_execute_command", builder.execute_command)
                .unwrap_or(false),
            platform_version: builder
                .platform_version
                .clone()
                .or_else(|| settings.text("platform_version")),
            cpu: setting.sized("cpu", size.cpu_units(), builder.cpu),
            memory: setting.sized("memory", size.memory_mib, builder.memory),
            container_cpu: None,
            container_memory: None,
            ephemeral_storage: setting.sized(
                "ephemeral_storage",
                size.storage_gib,
                builder.ephemeral_storage,
            ),
            gpus: size.gpus.filter(|count| *count > 0),
            providers,
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
        if template.platform == Platform::Fargate {
            template.require_subnets(problems);
        }
        template.check(problems);
        template
    }

    /// Reports subnets that are missing: a task with a network interface of its own needs one.
    fn require_subnets(&self, problems: &mut Vec<String>) {
        if self.subnets.is_empty() {
            let place = HowToSet("ecs", "subnets");
            problems.push(format!(
                "`subnets` is missing: set {place}; on ECS the default is the subnet of this \
                 process's own task, if this process may call ecs:DescribeTasks"
            ));
        }
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
                name != FlameParent::ENV && name != host::STOP_TIMEOUT_ENV,
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
        match self.platform {
            Platform::Fargate => self.check_for_fargate(problems),
            Platform::Instances => self.check_for_instances(problems),
        }
    }

    fn check_for_fargate(&self, problems: &mut Vec<String>) {
        if let (Some(cpu), Some(memory)) = (self.cpu, self.memory) {
            problems.extend(fargate::check(cpu, memory).err());
        }
        problems.extend(self.ephemeral_storage.and_then(|gib| fargate::check_storage(gib).err()));
        if self.gpus.is_some() {
            problems.push(
                "`size` has GPUs, and Fargate has none: name a capacity provider of instances with \
                 GPUs (`capacity_provider`)"
                    .to_owned(),
            );
        }
    }

    /// What only Fargate has (AWS documentation, RunTask: `platformVersion`; TaskOverride:
    /// `ephemeralStorage`; AwsVpcConfiguration: `assignPublicIp`).
    fn check_for_instances(&self, problems: &mut Vec<String>) {
        for (setting, is_set) in [
            ("platform_version", self.platform_version.is_some()),
            ("ephemeral_storage", self.ephemeral_storage.is_some()),
            ("assign_public_ip", self.public_ip),
        ] {
            if is_set {
                problems.push(format!(
                    "`{setting}` is for Fargate, and the capacity provider is not: leave it out"
                ));
            }
        }
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

    /// A part of the pool's `size`, or a setting that says the same.
    fn sized(&mut self, name: &str, size: Option<u32>, built: Option<u32>) -> Option<u32> {
        if let (Some(size), Some(built)) = (size, built)
            && size != built
        {
            self.problems.push(format!(
                "`{name}` is {built}, and the pool's `size` makes it {size}: set one of them"
            ));
        }
        // The environment's is a default for pools that have no size of their own.
        size.or_else(|| self.number(name, built))
    }

    fn providers(&mut self, built: &[CapacityProvider]) -> Vec<CapacityProvider> {
        if !built.is_empty() {
            return built.to_vec();
        }
        let texts = self.settings.list("capacity_provider");
        let shares = texts.iter().filter_map(|text| {
            let provider = provider(text);
            if provider.is_none() {
                self.problems.push(format!(
                    "`capacity_provider` has `{text}`: write `NAME`, `NAME=weight` or \
                     `NAME=weight:base`, such as `FARGATE_SPOT=3,FARGATE=1:2`"
                ));
            }
            provider
        });
        shares.collect()
    }
}

/// The capacity provider in `NAME`, `NAME=weight` or `NAME=weight:base`.
fn provider(text: &str) -> Option<CapacityProvider> {
    let (name, share) = text.split_once('=').unwrap_or((text, "1"));
    let (weight, base) = share.split_once(':').unwrap_or((share, "0"));
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty())?;
    Some(CapacityProvider {
        name,
        weight: weight.trim().parse().ok()?,
        base: base.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests;
