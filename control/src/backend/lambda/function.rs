//! The checks of a function's configuration when a pool starts. Pure.

use std::collections::HashMap;
use std::time::Duration;

use flame_runner_shim::host::{RUNNER_ENV, RUNNER_ON_LAMBDA};
use flame_wire::parent::FlameParent;

/// The shortest timeout that a function may have. A runner drains 10 s before the timeout, so with a
/// shorter one it would drain as soon as it is up.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest timeout that a function can have (botocore 1.44.8, lambda 2015-03-31, CreateFunction,
/// `Timeout`; 900 s until 1.44.7). Used only if the function's own timeout is not known: regions may
/// differ, and limits rise.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(1_800);
/// What to do about a timeout that is too short.
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

/// Checks a function's configuration.
pub(super) fn check(config: &FunctionConfig) -> Findings {
    let mut found = Findings::default();
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
mod tests {
    use super::*;

    fn valid() -> FunctionConfig {
        FunctionConfig {
            state: Some("Active".to_owned()),
            state_reason: None,
            timeout: Some(Duration::from_secs(900)),
            variables: with(&[("FLAME_RUNNER", "lambda"), ("OTHER", "x")]),
            modes: Vec::new(),
        }
    }

    fn with(variables: &[(&str, &str)]) -> Variables {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Variables::Known(variables.iter().map(owned).collect())
    }

    fn error(config: &FunctionConfig) -> String {
        let found = check(config);
        assert_eq!(found.errors.len(), 1, "{found:?}");
        found.errors[0].clone()
    }

    #[test]
    fn a_valid_function_has_no_findings() {
        assert_eq!(check(&valid()), Findings::default());
        assert_eq!(
            check(&FunctionConfig { state: None, timeout: None, ..valid() }),
            Findings::default()
        );
    }

    #[test]
    fn a_function_that_would_be_a_parent_is_rejected() {
        for variables in [with(&[]), Variables::default()] {
            let error = error(&FunctionConfig { variables, ..valid() });
            assert!(error.contains("set FLAME_RUNNER=lambda"), "{error}");
            assert!(error.contains("copies of its own"), "{error}");
        }
        let error =
            error(&FunctionConfig { variables: with(&[("FLAME_RUNNER", "yes")]), ..valid() });
        assert!(error.contains("\"yes\""), "{error}");
    }

    #[test]
    fn a_function_with_a_flame_parent_of_its_own_is_rejected() {
        let variables = with(&[("FLAME_RUNNER", "lambda"), ("FLAME_PARENT", "flame1.secret")]);
        let error = error(&FunctionConfig { variables, ..valid() });
        assert!(error.contains("remove the variable") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_unreadable_environment_is_a_warning_only() {
        let config = FunctionConfig { variables: Variables::Hidden("kms".to_owned()), ..valid() };
        let found = check(&config);
        assert!(found.errors.is_empty());
        assert!(found.warnings[0].contains("FLAME_RUNNER=lambda"), "{found:?}");
    }

    #[test]
    fn lambdas_default_timeout_is_rejected_and_a_short_one_is_a_warning() {
        let timeout =
            |seconds| FunctionConfig { timeout: Some(Duration::from_secs(seconds)), ..valid() };
        assert!(error(&timeout(3)).contains("`Timeout`"));
        assert_eq!(check(&timeout(30)).warnings.len(), 1);
        for seconds in [60, 900, 1_800, 5_400] {
            assert_eq!(check(&timeout(seconds)), Findings::default());
        }
    }

    /// All of the model's states (botocore 1.44.8, lambda 2015-03-31, `State`).
    #[test]
    fn each_state_has_advice() {
        let with_state = |state: &str| FunctionConfig { state: Some(state.to_owned()), ..valid() };
        for (state, advice) in [
            ("Pending", "wait until it is Active"),
            ("Failed", "deploy it again"),
            ("Deactivating", "scaled down to zero"),
            ("Deactivated", "scaled down to zero"),
            ("ActiveNonInvocable", "can't be invoked"),
            ("Deleting", "is being deleted"),
            ("SomethingNew", "look it up"),
        ] {
            let error = error(&with_state(state));
            assert!(error.contains(state) && error.contains(advice), "{error}");
            assert_eq!(error.contains("deploy it again"), state == "Failed", "{error}");
        }
    }

    #[test]
    fn the_advice_on_the_timeout_names_the_longest_one() {
        let seconds = MAX_TIMEOUT.as_secs();
        let written = format!("{},{:03} s", seconds / 1_000, seconds % 1_000);
        assert!(RAISE_TIMEOUT.contains(&written), "{written}");
    }

    #[test]
    fn a_function_with_an_unsuitable_feature_is_rejected_with_the_reason() {
        for (mode, feature) in [
            (Mode::CapacityProvider, "CapacityProviderConfig"),
            (Mode::Durable, "DurableConfig"),
            (Mode::PerTenant, "TenancyConfig"),
        ] {
            let error = error(&FunctionConfig { modes: vec![mode], ..valid() });
            assert!(error.contains(feature) && error.contains("ordinary function"), "{error}");
        }
    }

    #[test]
    fn a_function_that_is_not_active_is_rejected_with_lambdas_reason() {
        let state = |state: &str| FunctionConfig {
            state: Some(state.to_owned()),
            state_reason: Some("the image is gone".to_owned()),
            ..valid()
        };
        for name in ["Pending", "Failed", "Deactivating"] {
            let error = error(&state(name));
            assert!(error.contains(name) && error.contains("the image is gone"), "{error}");
        }
        assert_eq!(check(&state("Inactive")).warnings.len(), 1);
    }

    #[test]
    fn events_that_may_be_redelivered_or_delayed_are_a_warning() {
        let minute = Duration::from_secs(60);
        let once = EventDelivery { retries: 0, max_age: minute };
        assert_eq!(once.warning(), None);
        for delivery in [
            EventDelivery::default(),
            EventDelivery { retries: 1, ..once },
            EventDelivery { max_age: 2 * minute, ..once },
        ] {
            let warning = delivery.warning().unwrap();
            assert!(warning.contains("put-function-event-invoke-config"), "{warning}");
        }
    }

    #[test]
    fn all_errors_are_reported_together() {
        let config = FunctionConfig {
            state: Some("Failed".to_owned()),
            timeout: Some(Duration::from_secs(3)),
            ..FunctionConfig::default()
        };
        assert_eq!(check(&config).errors.len(), 3);
    }
}
