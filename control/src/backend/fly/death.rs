//! Why a machine has ended: pure.

use super::machine::Machine;
use crate::backend::{Death, failure};

/// What is known of the end of a machine.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It has ended, as the API describes it.
    Over(Box<Machine>),
    /// The API knows no such machine.
    Missing,
}

/// The death of a machine. `by_pool` says that its pool has told Fly to destroy it.
pub(super) fn death(end: &End, by_pool: bool) -> Death {
    let exit = match end {
        End::Over(machine) => machine.exit(),
        End::Missing => None,
    };
    let exit_code = exit.map(super::machine::Exit::code);
    let reason = match (end, exit) {
        _ if by_pool => "the machine was destroyed by its pool".to_owned(),
        (End::Missing, _) => "the machine is gone: somebody has destroyed it".to_owned(),
        (End::Over(machine), None) if machine.is_destroyed() => {
            "the machine was destroyed by somebody else".to_owned()
        }
        (End::Over(machine), None) => format!(
            "the machine is {}, and Fly does not say why; `fly logs` and `fly machine status {}` \
             may",
            machine.state, machine.id
        ),
        (End::Over(machine), Some(exit)) => {
            let stopped = if exit.requested_stop { ", after somebody had it stopped" } else { "" };
            format!(
                "the machine ended: {}{stopped}; `fly logs --machine {}` has its output",
                why(exit.code(), exit.oom_killed),
                machine.id
            )
        }
    };
    Death { exit_code, ..Death::new(reason) }
}

fn why(exit_code: i32, oom_killed: bool) -> String {
    match exit_code {
        0 if !oom_killed => {
            "it exited with code 0; if it exited before it connected, it may not be this app, or \
             its `main` does not reach `App::run`: check the image and its command"
                .to_owned()
        }
        81 if !oom_killed => {
            "it never connected to its parent; check that a machine of this app can reach the \
             address that the pool advertises"
                .to_owned()
        }
        code => failure::exit_reason(code, oom_killed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(state: &str, exit: &serde_json::Value) -> End {
        let events = json!([{ "type": "exit", "request": { "exit_event": exit } }]);
        let machine = json!({ "id": "148ed1", "state": state, "events": events });
        End::Over(serde_json::from_value(machine).unwrap())
    }

    #[test]
    fn a_death_has_the_exit_code_and_says_where_the_output_is() {
        let found = death(&over("stopped", &json!({ "exit_code": 7 })), false);
        assert_eq!(found.exit_code, Some(7));
        assert!(found.reason.contains("exited with code 7"), "{found}");
        assert!(found.reason.contains("fly logs --machine 148ed1"), "{found}");
    }

    #[test]
    fn a_kill_for_lack_of_memory_is_told_from_other_kills() {
        let killed = json!({ "exit_code": 137, "oom_killed": true });
        let reason = death(&over("destroyed", &killed), false).reason;
        assert!(reason.contains("was out of memory") && !reason.contains("unless"), "{reason}");
        let killed = json!({ "exit_code": 137, "oom_killed": false });
        let reason = death(&over("destroyed", &killed), false).reason;
        assert!(reason.contains("unless somebody killed it"), "{reason}");
    }

    #[test]
    fn the_exit_codes_of_runners_are_explained() {
        for (code, text) in [(0, "App::run"), (81, "never connected"), (84, "rejected")] {
            let reason = death(&over("stopped", &json!({ "exit_code": code })), false).reason;
            assert!(reason.contains(text), "{reason}");
        }
    }

    #[test]
    fn the_one_that_ended_it_is_told() {
        let stopped = json!({ "exit_code": 143, "requested_stop": true });
        let reason = death(&over("stopped", &stopped), false).reason;
        assert!(reason.contains("somebody had it stopped"), "{reason}");
        assert!(death(&over("destroyed", &json!(null)), false).reason.contains("somebody else"));
        assert!(death(&End::Missing, false).reason.contains("somebody has destroyed it"));
        assert!(death(&End::Missing, true).reason.contains("by its pool"));
        let failed = death(&over("failed", &json!(null)), false).reason;
        assert!(failed.contains("is failed") && failed.contains("148ed1"), "{failed}");
    }
}
