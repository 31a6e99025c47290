//! The checks of a function's configuration when a pool starts. Pure.

use std::collections::HashMap;
use std::time::Duration;

use flame_runner_shim::host::{RUNNER_ENV, RUNNER_ON_LAMBDA};
use flame_wire::parent::FlameParent;

use crate::cost::InstanceSize;
use crate::size::Size;

/// The shortest timeout that a function may have. A runner drains 10 s before the timeout, so with
/// a shorter one it would drain as soon as it is up.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest timeout that a function can have (botocore 1.44.8, lambda 2015-03-31,
/// CreateFunction, `Timeout`; 900 s until 1.44.7). Used only if the function's own timeout is not
/// known: regions may differ, and limits rise.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Advice about a timeout that is too short.
pub(super) const RAISE_TIMEOUT: &str =
    "raise the function's `Timeout`: Lambda allows up to 1,800 s, and bills only the time used";
/// With a shorter timeout, runners spend most of their paid time starting and draining.
const SHORT_TIMEOUT: Duration = Duration::from_secs(60);

/// The smallest MaximumEventAgeInSeconds (AWS documentation, PutFunctionEventInvokeConfig).
const MIN_EVENT_AGE: Duration = Duration::from_secs(60);

/// The parts of a function's configuration that are checked.
#[derive(Debug, Clone, Default)]
pub(super) struct FunctionConfig {
    /// The function's state, normally `Active` (botocore 1.44.8, lambda 2015-03-31, `State`).
    pub(super) state: Option<String>,
    pub(super) state_reason: Option<String>,
    pub(super) timeout: Option<Duration>,
    /// The size of each of its environments.
    pub(super) size: Size,
    /// The size by which an invocation is billed.
    pub(super) billed: InstanceSize,
    pub(super) variables: Variables,
    /// The features that make it unsuitable.
    pub(super) modes: Vec<Mode>,
}

/// A feature with which a function can't be a runner (botocore 1.44.8, lambda 2015-03-31,
/// `FunctionConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It has a CapacityProviderConfig: Lambda Managed Instances.
    CapacityProvider,
    /// It has a DurableConfig.
    Durable,
    /// It has a TenancyConfig that isolates tenants.
    PerTenant,
}

/// The function's environment variables.
#[derive(Debug, Clone)]
pub(super) enum Variables {
    Known(HashMap<String, String>),
    /// Not readable, for this reason.
    Hidden(String),
}

impl Default for Variables {
    fn default() -> Self {
        Variables::Known(HashMap::new())
    }
}

/// How Lambda redelivers events that failed or were throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventDelivery {
    /// MaximumRetryAttempts: how often Lambda repeats an event that failed.
    pub(super) retries: u32,
    /// MaximumEventAgeInSeconds: how long Lambda keeps an event.
    pub(super) max_age: Duration,
}

impl Default for EventDelivery {
    /// Lambda's defaults (AWS documentation, PutFunctionEventInvokeConfig).
    fn default() -> Self {
        Self { retries: 2, max_age: Duration::from_secs(6 * 60 * 60) }
    }
}

impl EventDelivery {
    /// A warning if Lambda may deliver events again, or late. Such an event does no harm, but it
    /// costs an invocation.
    pub(super) fn warning(self) -> Option<String> {
        let Self { retries, max_age } = self;
        (retries > 0 || max_age > MIN_EVENT_AGE).then(|| {
            format!(
                "Lambda retries a failed event up to {retries} times, and keeps a throttled event \
                 for up to {max_age:?}: the runner of such an event is rejected, but its invocation \
                 costs. Set MaximumRetryAttempts to 0 and MaximumEventAgeInSeconds to 60, for \
                 example with `aws lambda put-function-event-invoke-config`"
            )
        })
    }
}

/// The result of the checks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Reasons why the function can't be a runner.
    pub(super) errors: Vec<String>,
    /// Settings that work, but may not be intended.
    pub(super) warnings: Vec<String>,
}

/// The size of an environment of a function with this memory and storage, in MiB.
/// With 1,769 MB it has the equivalent of one vCPU, and the power is in proportion to the memory (AWS
/// documentation, "Configure Lambda function memory"). It has no GPU.
pub(super) fn size(memory_mib: Option<u32>, storage_mib: Option<u32>) -> Size {
    let storage_gib = storage_mib.map(|mib| mib / 1024);
    let vcpus = memory_mib.map(|mib| f64::from(mib) / 1769.0);
    Size { vcpus, memory_mib, gpus: Some(0), storage_gib }
}

/// Checks a function's configuration, for runners of the size `wanted`.
pub(super) fn check(config: &FunctionConfig, wanted: &Size) -> Findings {
    let mut found = Findings::default();
    if let Some(excess) = wanted.excess(&config.size) {
        found.errors.push(format!(
            "the pool's `size` is larger than it is ({excess}): raise the function's `MemorySize` or \
             `EphemeralStorage`, or lower `size`; a function gets processors in proportion to its \
             memory, and has no GPU"
        ));
    }
    check_state(config, &mut found);
    found.errors.extend(config.modes.iter().map(|mode| mode.problem()));
    check_timeout(config.timeout, &mut found);
    match &config.variables {
        Variables::Known(variables) => check_variables(variables, &mut found),
        Variables::Hidden(why) => found.warnings.push(format!(
            "its environment can't be read ({why}): check that it has \
             {RUNNER_ENV}={RUNNER_ON_LAMBDA}"
        )),
    }
    found
}

fn check_state(config: &FunctionConfig, found: &mut Findings) {
    // Emulators leave the state out.
    let Some(state) = config.state.as_deref().filter(|state| *state != "Active") else { return };
    let advice = match state {
        "Inactive" => {
            found.warnings.push(
                "its state is Inactive, since it was not invoked for a long time: its first boots \
                 may be rejected while Lambda reactivates it"
                    .to_owned(),
            );
            return;
        }
        "Pending" => {
            "wait until it is Active, for example with `aws lambda wait function-active-v2`"
        }
        "Failed" => "deploy it again",
        "Deactivating" | "Deactivated" => {
            "it is scaled down to zero (PutFunctionScalingConfig, for functions with a capacity \
             provider): use an ordinary function"
        }
        "ActiveNonInvocable" => {
            "it is deployed, but can't be invoked: check its scaling and its capacity provider, \
             or use an ordinary function"
        }
        "Deleting" => "it is being deleted: use another function",
        _ => {
            "this version of flame-aws does not know this state: look it up in Lambda's \
              documentation"
        }
    };
    let why = config.state_reason.as_deref().unwrap_or("no reason is given");
    found.errors.push(format!("its state is {state} ({why}): {advice}"));
}

impl Mode {
    /// Why a function with this feature can't be a runner, and what to do.
    fn problem(self) -> String {
        let why = match self {
            Mode::CapacityProvider => {
                "it has a CapacityProviderConfig (Lambda Managed Instances), so an environment may \
                 serve several invocations at a time, but a runner needs its own environment"
            }
            Mode::Durable => {
                "it has a DurableConfig, so Lambda may run an invocation again from the start, but \
                 a runner must run only once"
            }
            Mode::PerTenant => {
                "it has a TenancyConfig, so Lambda rejects an invocation without a tenant id, and a \
                 pool has no tenant id"
            }
        };
        format!("{why}: use an ordinary function")
    }
}

fn check_timeout(timeout: Option<Duration>, found: &mut Findings) {
    match timeout {
        Some(timeout) if timeout < MIN_TIMEOUT => found.errors.push(format!(
            "its timeout is {timeout:?} (Lambda's default is 3 s), but a runner drains 10 s before \
             the timeout and needs at least {MIN_TIMEOUT:?}: {RAISE_TIMEOUT}"
        )),
        Some(timeout) if timeout < SHORT_TIMEOUT => found.warnings.push(format!(
            "its timeout is {timeout:?}, so a runner serves for a short time only: {RAISE_TIMEOUT}"
        )),
        _ => {}
    }
}

/// A copy without the variable would be a parent, and would boot copies of its own.
fn check_variables(variables: &HashMap<String, String>, found: &mut Findings) {
    match variables.get(RUNNER_ENV).map(String::as_str) {
        Some(RUNNER_ON_LAMBDA) => {}
        None => found.errors.push(format!(
            "its environment lacks {RUNNER_ENV}, so a copy of the app would be a parent there, and \
             would boot copies of its own: set {RUNNER_ENV}={RUNNER_ON_LAMBDA} in the function's \
             environment"
        )),
        Some(other) => found
            .errors
            .push(format!("its {RUNNER_ENV} is {other:?}: set {RUNNER_ENV}={RUNNER_ON_LAMBDA}")),
    }
    if variables.contains_key(FlameParent::ENV) {
        found.errors.push(format!(
            "its environment sets {}: remove the variable, since each invocation brings its own",
            FlameParent::ENV
        ));
    }
}

#[cfg(test)]
mod tests;
