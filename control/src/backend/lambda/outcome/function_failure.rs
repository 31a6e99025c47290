//! The meaning of a failed function's errors.

use crate::backend::BootFailureKind;

/// The meaning of a function's error. The rule matches by the error's type, or by a prefix of it
/// that ends with a dot (`Extension.`), or by a phrase of the message.
struct FailureRule {
    error_type: &'static str,
    phrases: &'static [&'static str],
    kind: BootFailureKind,
    advice: &'static str,
}

const NOT_STARTED: &str =
    "the function could not be started: check its image or its `bootstrap`, and its architecture";
const MEMORY: &str = "the function was killed, probably for lack of memory: raise the function's \
                      memory, or lower `max_concurrency`";
const LAMBDAS_OWN: &str = "Lambda had an internal error: call again; if the error persists, raise the \
                           function's memory, and contact AWS support";
const TIMED_OUT: &str = "Lambda ended the invocation at its timeout: check what keeps `main` from \
                         reaching `App::run`, or a function from yielding, or raise the function's \
                         `Timeout`; a function without FLAME_RUNNER=lambda does not serve at all";

/// The types of the errors that Lambda itself reports, which tell them from the app's errors (AWS
/// documentation, "Telemetry API Event schema reference", and "Troubleshoot invocation issues";
/// second-hand). The order counts: phrases say more than some types, so they come first, and a
/// complete type comes before a prefix.
const FAILURES: &[FailureRule] = &[
    FailureRule {
        error_type: "",
        phrases: &["Task timed out"],
        kind: BootFailureKind::TimedOut,
        advice: TIMED_OUT,
    },
    FailureRule {
        error_type: "Sandbox.Timedout",
        phrases: &[],
        kind: BootFailureKind::TimedOut,
        advice: TIMED_OUT,
    },
    FailureRule {
        error_type: "Runtime.OutOfMemory",
        phrases: &["signal: killed"],
        kind: BootFailureKind::Died,
        advice: MEMORY,
    },
    FailureRule {
        error_type: "Runtime.ExitError",
        phrases: &[],
        kind: BootFailureKind::Died,
        advice: "check what the process printed; a process that exits without printing anything may \
                 lack FLAME_RUNNER=lambda, and so may not be a runner",
    },
    // Reported for an initialisation, or a snapshot restore, that took too long.
    FailureRule {
        error_type: "Runtime.Unknown",
        phrases: &[],
        kind: BootFailureKind::Died,
        advice: "its initialisation, or the restore of its snapshot, may have taken longer than the \
                 10 s that Lambda allows: check what `main` does before `App::run`",
    },
    FailureRule {
        error_type: "Runtime.",
        phrases: &[],
        kind: BootFailureKind::Misconfigured,
        advice: NOT_STARTED,
    },
    FailureRule {
        error_type: "Extension.",
        phrases: &[],
        kind: BootFailureKind::Misconfigured,
        advice: "an extension of the function failed, not the app: see the function's log, and \
                 repair or remove the layer that contains the extension",
    },
    FailureRule {
        error_type: "Sandbox.",
        phrases: &[],
        kind: BootFailureKind::Unavailable,
        advice: LAMBDAS_OWN,
    },
    FailureRule {
        error_type: "Function.ResponseSizeTooLarge",
        phrases: &[],
        kind: BootFailureKind::Misconfigured,
        advice: "a runner's response has a few hundred bytes, so the function is not a build of this \
                 app, or does not run as a runner: check the function's code, and that \
                 FLAME_RUNNER=lambda is set",
    },
    FailureRule {
        error_type: "Function.",
        phrases: &[],
        kind: BootFailureKind::Misconfigured,
        advice: "Lambda stopped the function: see the function's log and configuration",
    },
];

/// The kind of a failure, and advice; `None` if the runner itself reported the error.
pub(super) fn function_failure(
    error_type: &str,
    message: &str,
) -> Option<(BootFailureKind, &'static str)> {
    if error_type.starts_with("Flame.") {
        return None;
    }
    let matches = |rule: &&FailureRule| {
        let has_type = match rule.error_type {
            "" => false,
            prefix if prefix.ends_with('.') => error_type.starts_with(prefix),
            complete => error_type == complete,
        };
        has_type || rule.phrases.iter().any(|phrase| message.contains(phrase))
    };
    Some(match FAILURES.iter().find(matches) {
        Some(rule) => (rule.kind, rule.advice),
        None => (
            BootFailureKind::Died,
            "check that the function is a build of this app, with FLAME_RUNNER=lambda in its \
             environment",
        ),
    })
}
