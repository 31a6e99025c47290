//! Why a container has ended.

use super::engine::ContainerState;
use super::fleet::Exit;
use crate::backend::{Death, failure};

/// What is known of the end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its process has ended, as the engine describes it.
    Exited(ContainerState),
    /// It has exited with this code, as an event said, and was removed before the engine could be
    /// asked.
    Removed(Option<i32>),
    /// The engine has no such container.
    Missing,
    /// Its pool has stopped it.
    Stopped,
}

impl End {
    /// Joins an event with the state that the engine gives afterwards: `None` if the engine can't be
    /// asked, and `Some(None)` if it has no such container.
    pub(super) fn of(exit: Option<Exit>, state: Option<Option<ContainerState>>) -> Self {
        let code = match exit {
            Some(Exit::Removed) => return Self::Removed(None),
            Some(Exit::Died(code)) => code,
            None => None,
        };
        match state {
            // podman announces a death a moment before it stores the exit code, and until then says
            // that the code is 0. The event is right.
            Some(Some(state)) if !state.is_running => {
                Self::Exited(ContainerState { exit_code: code.or(state.exit_code), ..state })
            }
            // Somebody has started it again, or the engine can't say.
            Some(Some(_)) | None => {
                Self::Exited(ContainerState { exit_code: code, ..ContainerState::default() })
            }
            Some(None) if exit.is_some() => Self::Removed(code),
            Some(None) => Self::Missing,
        }
    }
}

/// The death of a container that has printed these last lines.
pub(super) fn death(end: &End, log_tail: Vec<String>) -> Death {
    let (reason, exit_code, stopped_reason) = match end {
        End::Stopped => ("the container was stopped by its pool".to_owned(), None, None),
        End::Missing => ("the container is gone: somebody has removed it".to_owned(), None, None),
        End::Removed(code) => {
            ("the container was removed by somebody else".to_owned(), *code, None)
        }
        End::Exited(state) => {
            let said = Some(state.error.clone()).filter(|error| !error.is_empty());
            let code = state.exit_code;
            (format!("the container ended: {}", why(code, state.oom_killed)), code, said)
        }
    };
    Death { exit_code, stopped_reason, log_tail, ..Death::new(reason) }
}

fn why(exit_code: Option<i32>, oom_killed: bool) -> String {
    match exit_code {
        Some(0) if !oom_killed => {
            "it exited with code 0; if it exited before it connected, and nobody has stopped or \
             removed the container, it may not be this app, or its `main` does not reach \
             `App::run`: check the image, its entry point and its command"
                .to_owned()
        }
        Some(81) if !oom_killed => {
            "it never connected to its parent; check that a container on this network can reach \
             the address that the pool advertises"
                .to_owned()
        }
        None if !oom_killed => "the engine did not say why".to_owned(),
        code => failure::exit_reason(code.unwrap_or_default(), oom_killed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{BootFailure, BootFailureKind};

    fn exited(exit_code: i32, oom_killed: bool, error: &str) -> Death {
        let error = error.to_owned();
        let state =
            ContainerState { is_running: false, exit_code: Some(exit_code), oom_killed, error };
        death(&End::Exited(state), vec!["last words".to_owned()])
    }

    #[test]
    fn a_death_has_the_exit_code_the_engines_words_and_the_last_lines() {
        let death = exited(7, false, "");
        assert_eq!(death.reason, "the container ended: its process exited with code 7");
        assert_eq!((death.exit_code, death.stopped_reason), (Some(7), None));
        assert_eq!(death.log_tail, ["last words"]);
        let failure = BootFailure::from(exited(127, false, "OCI runtime error"));
        assert_eq!(failure.kind, BootFailureKind::Died);
        assert_eq!(failure.stopped_reason.as_deref(), Some("OCI runtime error"));
        assert!(failure.to_string().contains("last words"), "{failure}");
    }

    #[test]
    fn the_exit_code_of_the_event_is_right() {
        let state = |exit_code| ContainerState { exit_code: Some(exit_code), ..Default::default() };
        let end = |exit, state| End::of(exit, Some(state));
        // podman has announced the death, and has not stored the exit code yet.
        assert_eq!(end(Some(Exit::Died(Some(143))), Some(state(0))), End::Exited(state(143)));
        assert_eq!(end(Some(Exit::Died(None)), Some(state(7))), End::Exited(state(7)));
        assert_eq!(end(None, Some(state(7))), End::Exited(state(7)));
    }

    #[test]
    fn an_end_is_told_as_far_as_it_is_known() {
        let died = Some(Exit::Died(Some(7)));
        let exited = |exit_code| End::Exited(ContainerState { exit_code, ..Default::default() });
        let running = ContainerState { is_running: true, ..Default::default() };
        assert_eq!(End::of(died, Some(Some(running))), exited(Some(7)), "started again");
        assert_eq!(End::of(died, None), exited(Some(7)), "the engine does not answer");
        assert_eq!(End::of(None, None), exited(None));
        assert_eq!(End::of(died, Some(None)), End::Removed(Some(7)));
        assert_eq!(End::of(Some(Exit::Removed), Some(None)), End::Removed(None));
        let stale = Some(Some(ContainerState { exit_code: Some(0), ..Default::default() }));
        assert_eq!(End::of(Some(Exit::Removed), stale), End::Removed(None), "an older answer");
        assert_eq!(End::of(None, Some(None)), End::Missing);
    }

    #[test]
    fn a_kill_for_lack_of_memory_is_told_from_other_kills() {
        let reason = exited(137, true, "").reason;
        assert!(reason.contains("was out of memory") && !reason.contains("unless"), "{reason}");
        let reason = exited(137, false, "").reason;
        assert!(reason.contains("unless somebody killed it"), "{reason}");
        assert!(!exited(1, false, "").reason.contains("memory"));
    }

    #[test]
    fn the_exit_codes_of_runners_are_explained() {
        for (code, text) in [
            (0, "App::run"),
            (81, "never connected"),
            (82, "reconnect_timeout"),
            (83, "shutdown window"),
            (84, "rejected"),
            (85, "executable"),
            (143, "SIGTERM"),
        ] {
            let reason = exited(code, false, "").reason;
            assert!(reason.contains(text), "{reason}");
        }
    }

    #[test]
    fn a_container_that_others_removed_is_not_said_to_have_ended_by_itself() {
        let removed = death(&End::Removed(Some(137)), Vec::new());
        assert!(removed.reason.contains("removed by somebody else"), "{removed}");
        assert_eq!(removed.exit_code, Some(137));
        assert!(death(&End::Missing, Vec::new()).reason.contains("somebody has removed it"));
        assert!(death(&End::Stopped, Vec::new()).reason.contains("stopped by its pool"));
    }
}
