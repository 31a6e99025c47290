//! What this process was started with: the variables that make it a runner.
//!
//! ```text
//!   environment ── before `main` ──▶ Started, a static ──▶ role, depth, lifeline, code_sync
//!        └─ the variables are removed: what this process starts does not inherit them
//! ```
//!
//! FLAME_PARENT is for one process. A command that a remote function starts would otherwise take
//! itself for the same runner, if it is a program that uses this crate, and the secret in the
//! variable would reach every command.
//!
//! # Invariants
//!
//! * Nothing else reads these variables: whoever asks what this process is asks [`started`].
//! * On Linux the variables are gone from the environment before `main` begins. Whoever starts a
//!   runner, or becomes another program as a runner, sets them again.
//!
//! # Elsewhere than on Linux
//!
//! Nothing runs before `main`, and an environment can't be changed safely once there may be
//! threads. The variables are read at the first question and stay in the environment.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use flame_wire::parent::FlameParent;

use crate::{code_sync, host, lifeline};

#[cfg(target_os = "linux")]
mod linux;

/// The variables that are for one process alone.
#[cfg(target_os = "linux")]
const NAMES: [&str; 4] = [FlameParent::ENV, host::RUNNER_ENV, lifeline::ENV, code_sync::MARK_ENV];

/// What a process was started with.
pub struct BootVariables {
    parent: Option<OsString>,
    runner: Option<OsString>,
    lifeline: Option<OsString>,
    synced_mark: Option<OsString>,
    depth: OnceLock<u8>,
}

/// What this process was started with.
pub fn boot_variables() -> &'static BootVariables {
    static VARIABLES: OnceLock<BootVariables> = OnceLock::new();
    VARIABLES.get_or_init(|| BootVariables::read(|name| std::env::var_os(name)))
}

impl BootVariables {
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            parent: variable(FlameParent::ENV),
            runner: variable(host::RUNNER_ENV),
            lifeline: variable(lifeline::ENV),
            synced_mark: variable(code_sync::MARK_ENV),
            depth: OnceLock::new(),
        }
    }

    /// FLAME_PARENT, good or bad. A secret until this process has dialled home.
    #[must_use]
    pub fn parent(&self) -> Option<&OsStr> {
        self.parent.as_deref()
    }

    /// FLAME_RUNNER.
    #[must_use]
    pub fn runner(&self) -> Option<&OsStr> {
        self.runner.as_deref()
    }

    /// Whether this process was started to be a runner, even if it can't be one.
    #[must_use]
    pub fn is_runner(&self) -> bool {
        self.parent.is_some() || self.runner.is_some()
    }

    /// How many parents are above this process, as far as that is known before it serves: 0 for a
    /// parent; for a runner at least 1, also where its FLAME_PARENT can't be read or is yet to come.
    #[must_use]
    pub fn depth(&self) -> u8 {
        if !self.is_runner() {
            return 0;
        }
        *self.depth.get_or_init(|| {
            let parent = self.parent.as_ref().and_then(|text| text.to_str());
            let parent = parent.and_then(|text| FlameParent::decode(text).ok());
            parent.map_or(1, |parent| parent.depth.max(1))
        })
    }

    /// FLAME_LIFELINE.
    pub(crate) fn lifeline(&self) -> Option<&OsStr> {
        self.lifeline.as_deref()
    }

    /// FLAME_SYNCED.
    pub(crate) fn synced_mark(&self) -> Option<&OsStr> {
        self.synced_mark.as_deref()
    }

    /// The variables with which another program takes over as the same runner.
    #[cfg(unix)]
    pub(crate) fn passed_on(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let passed_on =
            [(FlameParent::ENV, self.parent()), (lifeline::ENV, self.lifeline.as_deref())];
        passed_on.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Without the values: one of them is a secret.
impl std::fmt::Debug for BootVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootVariables")
            .field("is_runner", &self.is_runner())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use flame_wire::ids::RunnerRef;
    use flame_wire::parent::{Fingerprint, HostKind, RunnerLimits};
    use flame_wire::token::Token;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> BootVariables {
        BootVariables::read(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn parent_at(depth: u8) -> String {
        let parent = FlameParent {
            address: "ws://127.0.0.1:1".to_owned(),
            runner: RunnerRef::from_bytes([1; 16]),
            token: Token::from_bytes([2; 32]),
            expires_unix_ms: None,
            fingerprint: Fingerprint([3; 32]),
            host: HostKind::Process,
            pool: "test".to_owned(),
            depth,
            limits: RunnerLimits::default(),
        };
        parent.encode().unwrap()
    }

    #[test]
    fn a_process_without_variables_is_a_parent() {
        let variables = with(&[]);
        assert!(!variables.is_runner());
        assert_eq!(variables.depth(), 0);
    }

    #[test]
    fn a_runner_knows_its_depth_before_it_serves() {
        for depth in [1, 3, 254] {
            assert_eq!(with(&[(FlameParent::ENV, &parent_at(depth))]).depth(), depth);
        }
    }

    #[test]
    fn what_should_be_a_runner_and_can_not_is_no_parent() {
        for variable in [(FlameParent::ENV, ""), (FlameParent::ENV, "garbage")] {
            let variables = with(&[variable]);
            assert!(variables.is_runner());
            assert_eq!(variables.depth(), 1);
        }
        let variables = with(&[(host::RUNNER_ENV, "garbage")]);
        assert!(variables.is_runner());
        assert_eq!(variables.depth(), 1);
    }

    #[test]
    fn debug_shows_no_flame_parent() {
        let text = parent_at(1);
        let shown = format!("{:?}", with(&[(FlameParent::ENV, &text)]));
        assert!(!shown.contains("flame1") && shown.contains("true"), "{shown}");
    }

    #[test]
    fn another_program_takes_over_with_the_parent_and_the_lifeline() {
        let text = parent_at(1);
        let variables = with(&[
            (FlameParent::ENV, &text),
            (lifeline::ENV, "7"),
            (code_sync::MARK_ENV, "of another boot"),
        ]);
        let passed_on: Vec<_> = variables.passed_on().collect();
        let expected = [(FlameParent::ENV, OsStr::new(&text)), (lifeline::ENV, OsStr::new("7"))];
        assert_eq!(passed_on, expected);
    }
}
