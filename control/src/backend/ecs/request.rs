//! The parameters of one RunTask as plain values, and whether ECS accepts them.

use std::fmt;

use flame_runner_shim::host;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::{FlameParent, MAX_ENCODED};
use serde::Serialize;

use super::task::PARENT_TASK_TAG;
use super::task_template::TaskTemplate;
use crate::backend::sweep::{ENDS_BY_TAG, PARENT_TAG, POOL_TAG, RUNNER_TAG};

/// The most characters of a task's overrides, as JSON (AWS documentation, TaskOverride).
pub(super) const MAX_OVERRIDES: usize = 8_192;

/// The pool and parent that a task belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// The pool's name, as [`tag_safe`] text.
    pub(super) pool: String,
    /// The parent's id: a new one for each start of a pool.
    pub(super) parent: String,
    /// The ARN of the parent's own task, if the parent runs on ECS.
    pub(super) task: Option<String>,
}

impl Owner {
    /// The `startedBy` of the owner's tasks, unique to one pool of one parent.
    pub(super) fn started_by(&self) -> String {
        format!("flame/{}/{}", self.pool, self.parent)
    }
}

/// A name as text that is valid both in `startedBy` (letters, digits, `-`, `/`, `_`; 128 characters
/// in all) and in a tag. Different names stay different.
pub(super) fn tag_safe(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.chars().all(fits) {
        return name.to_owned();
    }
    let readable: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(64).collect();
    // FNV-1a: the hash only tells names apart and keeps nothing secret.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{readable}-{hash:016x}")
}

/// The parameters of a RunTask that are not in the [`TaskTemplate`].
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RunTaskRequest {
    pub(super) token: String,
    pub(super) started_by: String,
    pub(super) tags: Vec<(String, String)>,
    /// The capacity provider; `None` is the launch type FARGATE. ECS rejects a request with both.
    pub(super) provider: Option<String>,
    pub(super) overrides: TaskOverrides,
}

impl fmt::Debug for RunTaskRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The overrides are left out: they contain FLAME_PARENT.
        f.debug_struct("RunTaskRequest")
            .field("token", &self.token)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// The values that override the task definition, serialised with ECS's names.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskOverrides {
    pub(super) container_overrides: [ContainerOverride; 1],
    /// The task's size is text, the container's is a number. Both are set, since a container's own
    /// limit applies as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ephemeral_storage: Option<Storage>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerOverride {
    pub(super) name: String,
    pub(super) environment: Vec<Variable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) resource_requirements: Vec<Resource>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Resource {
    /// `GPU`.
    pub(super) r#type: &'static str,
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Storage {
    #[serde(rename = "sizeInGiB")]
    pub(super) gib: i32,
}

impl RunTaskRequest {
    /// The request for one runner. `token` numbers the runner's client tokens from 0, and `provider`
    /// is the capacity provider to try with it. `ends_by` is the Unix time, in seconds, by which the
    /// runner must have ended.
    pub(super) fn new(
        template: &TaskTemplate,
        owner: &Owner,
        runner: RunnerRef,
        (token, provider): (u32, Option<String>),
        ends_by: Option<i64>,
        flame_parent: &str,
    ) -> Self {
        let mut tags = template.tags.clone();
        let mut tag = |name: &str, value: String| tags.push((name.to_owned(), value));
        tag(POOL_TAG, owner.pool.clone());
        tag(RUNNER_TAG, runner.to_string());
        tag(PARENT_TAG, owner.parent.clone());
        owner.task.iter().for_each(|task| tag(PARENT_TASK_TAG, task.clone()));
        ends_by.iter().for_each(|unix| tag(ENDS_BY_TAG, unix.to_string()));
        Self {
            token: match token {
                0 => runner.to_string(),
                token => format!("{runner}-{token}"),
            },
            started_by: owner.started_by(),
            tags,
            provider,
            overrides: TaskOverrides::new(template, flame_parent),
        }
    }
}

impl TaskOverrides {
    fn new(template: &TaskTemplate, flame_parent: &str) -> Self {
        let stop_timeout = (host::STOP_TIMEOUT_ENV.to_owned(), template.stop_timeout.to_string());
        let parent = (FlameParent::ENV.to_owned(), flame_parent.to_owned());
        let variables = template.env.iter().cloned().chain([stop_timeout, parent]);
        let number = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
        Self {
            container_overrides: [ContainerOverride {
                name: template.container.clone(),
                environment: variables.map(|(name, value)| Variable { name, value }).collect(),
                cpu: number(template.container_cpu),
                memory: number(template.container_memory),
                resource_requirements: template
                    .gpus
                    .map(|count| Resource { r#type: "GPU", value: count.to_string() })
                    .into_iter()
                    .collect(),
            }],
            cpu: template.cpu.map(|units| units.to_string()),
            memory: template.memory.map(|mib| mib.to_string()),
            ephemeral_storage: number(template.ephemeral_storage).map(|gib| Storage { gib }),
        }
    }

    /// Whether the overrides are short enough. The error says what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let len = text.chars().count();
        if len <= MAX_OVERRIDES {
            return Ok(());
        }
        Err(format!(
            "the overrides of a task would have {len} characters, and ECS accepts \
             {MAX_OVERRIDES}: move large variables (`.env(..)`) to the task definition, or pass \
             the location of the data instead of the data"
        ))
    }
}

/// Whether the overrides are short enough even with the longest possible FLAME_PARENT.
pub(super) fn check_longest(template: &TaskTemplate) -> Result<(), String> {
    TaskOverrides::new(template, &"x".repeat(MAX_ENCODED)).check()
}

#[cfg(test)]
mod tests;
