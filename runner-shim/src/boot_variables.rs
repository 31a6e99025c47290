//! The environment variables that make this process a runner.
//!
//! ```text
//!   environment ── before `main` ──▶ BootVariables, a static ──▶ role, depth, lifeline, code_sync
//!        └─ the variables are removed: processes started from here do not inherit them
//! ```
//!
//! FLAME_PARENT is for one process. If the commands that a remote function starts inherited it,
//! every command that uses this crate would try to connect as the same runner, and every command
//! could read the secret in it.
//!
//! # Invariants
//!
//! * No other code reads these variables: it calls [`boot_variables`].
//! * On Linux the variables are removed from the environment before `main` begins. Code that starts
//!   a runner, or replaces a runner's program, sets them again.
//!
//! # Other platforms than Linux
//!
//! No code runs before `main`, and once there may be threads, changing the environment is not safe.
//! The variables are read at the first call of [`boot_variables`] and stay in the environment.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use flame_wire::parent::FlameParent;

use crate::host;

#[cfg(target_os = "linux")]
mod linux;

/// The variable that names the parent with which this process dies; see
/// [`lifeline`](crate::lifeline).
pub const LIFELINE_ENV: &str = "FLAME_LIFELINE";
/// The variable that marks a runner as executing the file that `code_sync` has downloaded:
/// `<hash>/<runner>`.
pub const SYNCED_ENV: &str = "FLAME_SYNCED";

/// The variables that are meant for one process only.
#[cfg(target_os = "linux")]
const NAMES: [&str; 5] =
    [FlameParent::ENV, host::RUNNER_ENV, host::SUPERVISED_ENV, LIFELINE_ENV, SYNCED_ENV];

/// The variables that a process was started with.
pub struct BootVariables {
    parent: Option<OsString>,
    runner: Option<OsString>,
    supervised: Option<OsString>,
    lifeline: Option<OsString>,
    synced_mark: Option<OsString>,
    depth: OnceLock<u8>,
}

/// The variables that this process was started with.
pub fn boot_variables() -> &'static BootVariables {
    static VARIABLES: OnceLock<BootVariables> = OnceLock::new();
    VARIABLES.get_or_init(|| BootVariables::read(|name| std::env::var_os(name)))
}

impl BootVariables {
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            parent: variable(FlameParent::ENV),
            runner: variable(host::RUNNER_ENV),
            supervised: variable(host::SUPERVISED_ENV),
            lifeline: variable(LIFELINE_ENV),
            synced_mark: variable(SYNCED_ENV),
            depth: OnceLock::new(),
        }
    }

    /// FLAME_PARENT, valid or not. It is a secret until the runner has connected.
    #[must_use]
    pub fn parent(&self) -> Option<&OsStr> {
        self.parent.as_deref()
    }

    /// FLAME_RUNNER.
    #[must_use]
    pub fn runner(&self) -> Option<&OsStr> {
        self.runner.as_deref()
    }

    /// Whether a supervisor has started this process: see [`host::SUPERVISED_ENV`].
    #[must_use]
    pub fn is_supervised(&self) -> bool {
        self.supervised.is_some()
    }

    /// Whether this process was started as a runner, even if it can't become one.
    #[must_use]
    pub fn is_runner(&self) -> bool {
        self.parent.is_some() || self.runner.is_some()
    }

    /// The number of parents above this process, as far as it is known before the runner serves: 0
    /// for a parent, and at least 1 for a runner, even if its FLAME_PARENT can't be read or arrives
    /// later.
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

    /// The variables that another program needs to continue as the same runner.
    #[cfg(unix)]
    pub(crate) fn passed_on(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let passed_on = [
            (FlameParent::ENV, self.parent()),
            (host::RUNNER_ENV, self.runner()),
            (host::SUPERVISED_ENV, self.supervised.as_deref()),
            (LIFELINE_ENV, self.lifeline.as_deref()),
        ];
        passed_on.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Shows no values: FLAME_PARENT is a secret.
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
            addresses: vec!["ws://127.0.0.1:1".to_owned()],
            runner: RunnerRef::from_bytes([1; 16]),
            token: Token::from_bytes([2; 32]),
            expires_unix_ms: None,
            fingerprint: Fingerprint([3; 32]),
            host: HostKind::Process,
            pool: "test".to_owned(),
            depth,
            limits: RunnerLimits::default(),
        };
        parent.encode().unwrap().to_string()
    }

    #[test]
    fn a_process_without_the_variables_is_a_parent() {
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
    fn a_process_with_an_invalid_variable_is_not_a_parent() {
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
    fn another_program_takes_over_with_all_variables_but_the_mark() {
        let text = parent_at(1);
        for kept in [
            vec![(FlameParent::ENV, text.as_str()), (LIFELINE_ENV, "7")],
            vec![(host::RUNNER_ENV, "lambda"), (host::SUPERVISED_ENV, "1")],
        ] {
            let variables = with(&[kept[0], kept[1], (SYNCED_ENV, "of another boot")]);
            let passed_on: Vec<_> = variables.passed_on().collect();
            let kept: Vec<_> =
                kept.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
            assert_eq!(passed_on, kept);
        }
    }
}
