//! What a pool's start can see of its function, and what must be so. Pure.

use std::collections::HashMap;
use std::time::Duration;

use flame_runner_shim::host::{RUNNER_ENV, RUNNER_ON_LAMBDA};
use flame_wire::parent::FlameParent;

/// Below this, a runner would have to drain as soon as it is up: it begins 10 s before the deadline.
pub(super) const SHORTEST: Duration = Duration::from_secs(15);
/// The longest timeout that a function can have, whose invocation is waited for (botocore 1.44.8, lambda
/// 2015-03-31, CreateFunction, `Timeout`; 900 s until 1.44.7). Only where the function's own is not
/// known: regions may differ, and limits rise.
pub(super) const LONGEST: Duration = Duration::from_secs(1_800);
/// What to do about one that is too short.
pub(super) const RAISE_TIMEOUT: &str =
    "raise the function's `Timeout`: Lambda takes up to 1,800 s, and bills what is used";
/// Below this, most of what is paid for is starting and ending.
const SHORT: Duration = Duration::from_secs(60);

/// The least that can be set (AWS documentation, PutFunctionEventInvokeConfig).
const OLDEST: Duration = Duration::from_secs(60);

/// A function's configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// `Active`, or why not (botocore 1.44.8, lambda 2015-03-31, `State`).
    pub(super) state: Option<String>,
    pub(super) state_reason: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) variables: Variables,
    /// In which ways it is no ordinary function.
    pub(super) modes: Vec<Mode>,
}

/// A way in which a function is no ordinary one, and can't be a runner (botocore 1.44.8, lambda
/// 2015-03-31, `FunctionConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It has a CapacityProviderConfig: Lambda Managed Instances.
    CapacityProvider,
    /// It has a DurableConfig.
    Durable,
    /// Its TenancyConfig isolates tenants.
    PerTenant,
}

/// Its environment.
#[derive(Debug, Clone)]
pub(super) enum Variables {
    Known(HashMap<String, String>),
    /// Not to be seen, and why.
    Hidden(String),
}

impl Default for Variables {
    fn default() -> Self {
        Variables::Known(HashMap::new())
    }
}

/// How Lambda delivers events that fail, or find no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// How often again, after a failure.
    pub(super) retries: u32,
    /// For how long.
    pub(super) oldest: Duration,
}

impl Default for Delivery {
    /// Where nothing is set (AWS documentation, PutFunctionEventInvokeConfig).
    fn default() -> Self {
        Self { retries: 2, oldest: Duration::from_secs(6 * 60 * 60) }
    }
}

impl Delivery {
    /// What is delivered again, or late, does no harm, but it is paid for. In a sentence, if it may
    /// be.
    pub(super) fn warning(self) -> Option<String> {
        let Self { retries, oldest } = self;
        (retries > 0 || oldest > OLDEST).then(|| {
            format!(
                "Lambda delivers an event up to {retries} times more where it has failed, and for \
                 {oldest:?} where it waits: its runner is refused then, but its invocation costs. Set \
                 MaximumRetryAttempts to 0 and MaximumEventAgeInSeconds to 60, as by `aws lambda \
                 put-function-event-invoke-config`"
            )
        })
    }
}

/// What is wrong with a function.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// No runner can be booted.
    pub(super) errors: Vec<String>,
    /// It works, but perhaps not as it is meant.
    pub(super) warnings: Vec<String>,
}

/// Looks at a function.
pub(super) fn check(seen: &Seen) -> Findings {
    let mut found = Findings::default();
    check_state(seen, &mut found);
    found.errors.extend(seen.modes.iter().map(|mode| mode.refusal()));
    check_timeout(seen.timeout, &mut found);
    match &seen.variables {
        Variables::Known(variables) => check_variables(variables, &mut found),
        Variables::Hidden(why) => found.warnings.push(format!(
            "its environment can't be seen ({why}): look by yourself that it has \
             {RUNNER_ENV}={RUNNER_ON_LAMBDA}"
        )),
    }
    found
}

fn check_state(seen: &Seen, found: &mut Findings) {
    // Emulators leave it out.
    let Some(state) = seen.state.as_deref().filter(|state| *state != "Active") else { return };
    let advice = match state {
        "Inactive" => {
            found.warnings.push(
                "it is Inactive, since nobody has invoked it for long: its first boots may be \
                 refused while Lambda wakes it"
                    .to_owned(),
            );
            return;
        }
        "Pending" => "wait until it is Active, as by `aws lambda wait function-active-v2`",
        "Failed" => "deploy it anew",
        "Deactivating" | "Deactivated" => {
            "it is scaled down to nothing (PutFunctionScalingConfig, of functions with a capacity \
             provider): use an ordinary function"
        }
        "ActiveNonInvocable" => {
            "it is deployed, and can't be invoked: look at its scaling and at its capacity \
             provider, or use an ordinary function"
        }
        "Deleting" => "it is being deleted: name another function",
        _ => "this state is not known here: look it up in Lambda's documentation",
    };
    let why = seen.state_reason.as_deref().unwrap_or("no reason is given");
    found.errors.push(format!("its state is {state} ({why}): {advice}"));
}

impl Mode {
    /// Why such a function can't be a runner, and what to do.
    fn refusal(self) -> String {
        let why = match self {
            Mode::CapacityProvider => {
                "it has a CapacityProviderConfig (Lambda Managed Instances), whose environments \
                 serve several invocations at a time, where a runner needs one of its own"
            }
            Mode::Durable => {
                "it has a DurableConfig, so Lambda would run an invocation again from its \
                 beginning, where a runner must not"
            }
            Mode::PerTenant => {
                "it has a TenancyConfig, so Lambda takes no invocation without the id of a tenant, \
                 of which a pool knows none"
            }
        };
        format!("{why}: use an ordinary function")
    }
}

fn check_timeout(timeout: Option<Duration>, found: &mut Findings) {
    match timeout {
        Some(timeout) if timeout < SHORTEST => found.errors.push(format!(
            "its timeout is {timeout:?} (Lambda's default is 3 s), and a runner drains 10 s before \
             it, so it takes at least {SHORTEST:?}: {RAISE_TIMEOUT}"
        )),
        Some(timeout) if timeout < SHORT => found.warnings.push(format!(
            "its timeout is {timeout:?}, so each runner serves but a little: {RAISE_TIMEOUT}"
        )),
        _ => {}
    }
}

/// A copy that does not know that it is a runner would be one more parent, and boot copies.
fn check_variables(variables: &HashMap<String, String>, found: &mut Findings) {
    match variables.get(RUNNER_ENV).map(String::as_str) {
        Some(RUNNER_ON_LAMBDA) => {}
        None => found.errors.push(format!(
            "{RUNNER_ENV} is not set on it, so a copy of the app would be a parent there, and boot \
             copies of its own: set {RUNNER_ENV}={RUNNER_ON_LAMBDA} in the function's environment"
        )),
        Some(other) => found
            .errors
            .push(format!("{RUNNER_ENV} is {other:?} on it: set it to `{RUNNER_ON_LAMBDA}`")),
    }
    if variables.contains_key(FlameParent::ENV) {
        found.errors.push(format!(
            "{} is set on it: remove it, each invocation brings its own",
            FlameParent::ENV
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Seen {
        Seen {
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

    fn error(seen: &Seen) -> String {
        let found = check(seen);
        assert_eq!(found.errors.len(), 1, "{found:?}");
        found.errors[0].clone()
    }

    #[test]
    fn a_function_of_runners_is_fine() {
        assert_eq!(check(&good()), Findings::default());
        assert_eq!(check(&Seen { state: None, timeout: None, ..good() }), Findings::default());
    }

    #[test]
    fn a_function_that_would_be_a_parent_is_refused() {
        for variables in [with(&[]), Variables::default()] {
            let error = error(&Seen { variables, ..good() });
            assert!(error.contains("set FLAME_RUNNER=lambda"), "{error}");
            assert!(error.contains("copies of its own"), "{error}");
        }
        let error = error(&Seen { variables: with(&[("FLAME_RUNNER", "yes")]), ..good() });
        assert!(error.contains("\"yes\""), "{error}");
    }

    #[test]
    fn a_function_with_a_flame_parent_of_its_own_is_refused() {
        let variables = with(&[("FLAME_RUNNER", "lambda"), ("FLAME_PARENT", "flame1.secret")]);
        let error = error(&Seen { variables, ..good() });
        assert!(error.contains("remove it") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_environment_that_can_not_be_seen_is_only_warned_of() {
        let seen = Seen { variables: Variables::Hidden("kms".to_owned()), ..good() };
        let found = check(&seen);
        assert!(found.errors.is_empty());
        assert!(found.warnings[0].contains("FLAME_RUNNER=lambda"), "{found:?}");
    }

    #[test]
    fn lambdas_default_timeout_is_refused_and_a_short_one_is_warned_of() {
        let timeout = |seconds| Seen { timeout: Some(Duration::from_secs(seconds)), ..good() };
        assert!(error(&timeout(3)).contains("`Timeout`"));
        assert_eq!(check(&timeout(30)).warnings.len(), 1);
        for fine in [60, 900, 1_800, 5_400] {
            assert_eq!(check(&timeout(fine)), Findings::default());
        }
    }

    /// All of the model's states (botocore 1.44.8, lambda 2015-03-31, `State`).
    #[test]
    fn each_state_says_what_it_is_and_what_to_do() {
        let seen = |state: &str| Seen { state: Some(state.to_owned()), ..good() };
        for (state, told) in [
            ("Pending", "wait until it is Active"),
            ("Failed", "deploy it anew"),
            ("Deactivating", "scaled down to nothing"),
            ("Deactivated", "scaled down to nothing"),
            ("ActiveNonInvocable", "can't be invoked"),
            ("Deleting", "is being deleted"),
            ("SomethingNew", "look it up"),
        ] {
            let error = error(&seen(state));
            assert!(error.contains(state) && error.contains(told), "{error}");
            assert_eq!(error.contains("deploy it anew"), state == "Failed", "{error}");
        }
    }

    #[test]
    fn the_advice_on_the_timeout_names_the_longest_one() {
        let seconds = LONGEST.as_secs();
        let written = format!("{},{:03} s", seconds / 1_000, seconds % 1_000);
        assert!(RAISE_TIMEOUT.contains(&written), "{written}");
    }

    #[test]
    fn a_function_that_is_no_ordinary_one_is_refused_with_the_reason() {
        for (mode, told) in [
            (Mode::CapacityProvider, "CapacityProviderConfig"),
            (Mode::Durable, "DurableConfig"),
            (Mode::PerTenant, "TenancyConfig"),
        ] {
            let error = error(&Seen { modes: vec![mode], ..good() });
            assert!(error.contains(told) && error.contains("ordinary function"), "{error}");
        }
    }

    #[test]
    fn a_function_that_is_not_active_is_refused_with_lambdas_reason() {
        let state = |state: &str| Seen {
            state: Some(state.to_owned()),
            state_reason: Some("the image is gone".to_owned()),
            ..good()
        };
        for name in ["Pending", "Failed", "Deactivating"] {
            let error = error(&state(name));
            assert!(error.contains(name) && error.contains("the image is gone"), "{error}");
        }
        assert_eq!(check(&state("Inactive")).warnings.len(), 1);
    }

    #[test]
    fn events_that_may_come_again_or_late_are_warned_of() {
        let minute = Duration::from_secs(60);
        let once = Delivery { retries: 0, oldest: minute };
        assert_eq!(once.warning(), None);
        for delivery in [
            Delivery::default(),
            Delivery { retries: 1, ..once },
            Delivery { oldest: 2 * minute, ..once },
        ] {
            let warning = delivery.warning().unwrap();
            assert!(warning.contains("put-function-event-invoke-config"), "{warning}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let seen = Seen {
            state: Some("Failed".to_owned()),
            timeout: Some(Duration::from_secs(3)),
            ..Seen::default()
        };
        assert_eq!(check(&seen).errors.len(), 3);
    }
}
