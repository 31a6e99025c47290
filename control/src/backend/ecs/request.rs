//! One RunTask, in plain values: what is asked for, and whether ECS can take it.

use std::fmt;

use flame_runner_shim::host::ecs;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::{FlameParent, MAX_ENCODED};
use serde::Serialize;

use super::plan::{Plan, Share};
use super::sweep::{ENDS_BY, PARENT, PARENT_TASK, POOL, RUNNER};

/// The most characters that the overrides of a task may have, as JSON (AWS documentation,
/// TaskOverride).
pub(super) const MAX_OVERRIDES: usize = 8_192;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker {
    /// The pool, as [`plain`] text.
    pub(super) pool: String,
    /// One id for each start of a pool.
    pub(super) parent: String,
    /// The ARN of the task that it runs in, if it runs in one.
    pub(super) task: Option<String>,
}

impl Asker {
    /// What a task says of who started it. Exact for one pool of one parent.
    pub(super) fn started_by(&self) -> String {
        format!("flame/{}/{}", self.pool, self.parent)
    }
}

/// A name as text that both `startedBy` (letters, digits, `-`, `/`, `_`; 128 in all) and a tag may
/// have. Two names never give the same.
pub(super) fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.chars().all(fits) {
        return name.to_owned();
    }
    let readable: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(64).collect();
    // FNV-1a: only to tell names apart, not to keep them secret.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{readable}-{hash:016x}")
}

/// What RunTask is asked for, beside what is the same for all tasks of a backend.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) token: String,
    pub(super) started_by: String,
    pub(super) tags: Vec<(String, String)>,
    /// The one capacity provider; none is the launch type FARGATE. Never both: ECS refuses that.
    pub(super) provider: Option<String>,
    pub(super) overrides: Overrides,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the overrides: they hold FLAME_PARENT.
        f.debug_struct("Request")
            .field("token", &self.token)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// What differs from the task definition, by the names that ECS has for it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overrides {
    pub(super) container_overrides: [ContainerOverride; 1],
    /// At the level of the task these are texts, at that of the container numbers. Both are set:
    /// else the container's own limit still binds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ephemeral_storage: Option<Storage>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct ContainerOverride {
    pub(super) name: String,
    pub(super) environment: Vec<Variable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<i32>,
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

impl Request {
    /// The order of a runner. `nth` counts its tokens from 0; `ends_by` is when it must be gone, in
    /// seconds of Unix time.
    pub(super) fn new(
        plan: &Plan,
        asker: &Asker,
        runner: RunnerRef,
        nth: u32,
        ends_by: Option<i64>,
        flame_parent: &str,
    ) -> Self {
        let mut tags = plan.tags.clone();
        let mut tag = |name: &str, value: String| tags.push((name.to_owned(), value));
        tag(POOL, asker.pool.clone());
        tag(RUNNER, runner.to_string());
        tag(PARENT, asker.parent.clone());
        asker.task.iter().for_each(|task| tag(PARENT_TASK, task.clone()));
        ends_by.iter().for_each(|unix| tag(ENDS_BY, unix.to_string()));
        let providers = drawn(&plan.providers, runner);
        let provider = providers.get(nth as usize % providers.len().max(1));
        Self {
            token: match nth {
                0 => runner.to_string(),
                nth => format!("{runner}-{nth}"),
            },
            started_by: asker.started_by(),
            tags,
            provider: provider.map(|share| share.name.clone()),
            overrides: Overrides::new(plan, flame_parent),
        }
    }
}

impl Overrides {
    fn new(plan: &Plan, flame_parent: &str) -> Self {
        let stop_timeout = (ecs::STOP_TIMEOUT_ENV.to_owned(), plan.stop_timeout.to_string());
        let parent = (FlameParent::ENV.to_owned(), flame_parent.to_owned());
        let variables = plan.env.iter().cloned().chain([stop_timeout, parent]);
        let number = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
        Self {
            container_overrides: [ContainerOverride {
                name: plan.container.clone(),
                environment: variables.map(|(name, value)| Variable { name, value }).collect(),
                cpu: number(plan.container_cpu),
                memory: number(plan.container_memory),
            }],
            cpu: plan.cpu.map(|units| units.to_string()),
            memory: plan.memory.map(|mib| mib.to_string()),
            ephemeral_storage: number(plan.ephemeral_storage).map(|gib| Storage { gib }),
        }
    }

    /// Whether they are short enough; if not, what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let len = text.chars().count();
        if len <= MAX_OVERRIDES {
            return Ok(());
        }
        Err(format!(
            "the overrides of a task would have {len} characters, of which ECS takes \
             {MAX_OVERRIDES}: put large variables (`.env(..)`) into the task definition, or a \
             name of the data in their place"
        ))
    }
}

/// Whether the overrides will be short enough, whatever the pool's FLAME_PARENT is.
pub(super) fn check_longest(plan: &Plan) -> Result<(), String> {
    Overrides::new(plan, &"x".repeat(MAX_ENCODED)).check()
}

/// The capacity providers in the order in which a runner tries them: the first is drawn by weight,
/// the others follow by weight.
///
/// ECS weighs the providers within one request, and each runner is a request of its own. And where
/// one has no room, ECS takes no other.
fn drawn(providers: &[Share], runner: RunnerRef) -> Vec<&Share> {
    let mut order: Vec<_> = providers.iter().collect();
    order.sort_by_key(|share| std::cmp::Reverse(share.weight));
    let all: u64 = order.iter().map(|share| u64::from(share.weight)).sum();
    // The ref is random: its bytes are as good a draw as any.
    let draw = runner.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut left = draw.checked_rem(all).unwrap_or(0);
    let first = order.iter().position(|share| {
        let weight = u64::from(share.weight);
        let hit = left < weight;
        left = left.saturating_sub(weight);
        hit
    });
    if let Some(first) = first {
        let first = order.remove(first);
        order.insert(0, first);
    }
    order
}

#[cfg(test)]
mod tests;
