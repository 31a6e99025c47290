//! Who may come in: which runners are expected, and by what proof. Pure: `now` is an argument.
//!
//! ```text
//! expect ──▶ expected ── First(token), in time, same build ──▶ in, with a resume key
//!               │                                                │
//!               └── forget ◀─────────────────────────────────────┴── Again(key): its socket broke
//! ```
//!
//! Invariants: a token lets one runner in, once, before it expires; it is kept as a hash and
//! compared in constant time. Anybody else learns only that he is not wanted.

use std::collections::HashMap;
use std::time::Instant;

use flame_wire::hello::{Hello, PROTOCOL, Proof, Refusal};
use flame_wire::ids::{BuildId, RunnerRef};
use flame_wire::token::TokenHash;

/// The runners that a pool expects or has; `T` is what it keeps of each.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    build: BuildId,
    runners: HashMap<RunnerRef, Expected<T>>,
}

/// What a runner must show.
#[derive(Debug)]
pub(crate) struct Expected<T> {
    /// Of the token in its FLAME_PARENT.
    pub(crate) token: TokenHash,
    /// Of the key that its welcome brings.
    pub(crate) resume: TokenHash,
    /// When its boot is given up.
    pub(crate) expires: Instant,
    /// What the pool keeps of it.
    pub(crate) keep: T,
    /// The token was shown.
    pub(crate) used: bool,
}

/// How a runner comes in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted<T> {
    First(T),
    Again(T),
}

impl<T: Clone> Admission<T> {
    pub(crate) fn new(build: BuildId) -> Self {
        Self { build, runners: HashMap::new() }
    }

    /// A runner is being booted.
    pub(crate) fn expect(&mut self, runner: RunnerRef, expected: Expected<T>) {
        self.runners.insert(runner, expected);
    }

    /// The runner is gone, or given up.
    pub(crate) fn forget(&mut self, runner: RunnerRef) {
        self.runners.remove(&runner);
    }

    /// What is kept of a runner.
    pub(crate) fn keep(&self, runner: RunnerRef) -> Option<T> {
        self.runners.get(&runner).map(|expected| expected.keep.clone())
    }

    /// Whether the one that says this may come in.
    pub(crate) fn admit(&mut self, now: Instant, hello: &Hello) -> Result<Admitted<T>, Refusal> {
        if hello.protocol != PROTOCOL {
            return Err(Refusal::OtherProtocol { parent: PROTOCOL, runner: hello.protocol });
        }
        let expected = self.runners.get_mut(&hello.runner).ok_or(Refusal::UnknownRunner)?;
        match &hello.proof {
            Proof::First(token) => {
                if !expected.token.matches(token) {
                    return Err(Refusal::WrongToken);
                }
                if expected.used {
                    return Err(Refusal::UsedToken);
                }
                if now >= expected.expires {
                    return Err(Refusal::ExpiredToken);
                }
                // Whatever comes of it, nobody shows this token again.
                expected.used = true;
                if hello.build != self.build {
                    return Err(Refusal::OtherBuild {
                        parent: self.build.clone(),
                        runner: hello.build.clone(),
                    });
                }
                Ok(Admitted::First(expected.keep.clone()))
            }
            Proof::Again(key) if expected.used && expected.resume.matches(key) => {
                Ok(Admitted::Again(expected.keep.clone()))
            }
            Proof::Again(_) => Err(Refusal::WrongToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flame_wire::token::Token;

    use super::*;

    const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);

    fn token(byte: u8) -> Token {
        Token::from_bytes([byte; 32])
    }

    fn hello(proof: Proof) -> Hello {
        Hello {
            protocol: PROTOCOL,
            runner: RUNNER,
            proof,
            build: BuildId::new("build"),
            instance: "pid-1".to_owned(),
            pid: None,
            expires_in_ms: None,
        }
    }

    fn admission() -> (Instant, Admission<u32>) {
        let now = tokio::time::Instant::now().into_std();
        let mut admission = Admission::new(BuildId::new("build"));
        admission.expect(
            RUNNER,
            Expected {
                token: token(1).hash(),
                resume: token(2).hash(),
                expires: now + Duration::from_secs(10),
                keep: 7,
                used: false,
            },
        );
        (now, admission)
    }

    #[test]
    fn a_runner_comes_in_by_its_token_and_back_by_its_key() {
        let (now, mut admission) = admission();
        assert_eq!(admission.admit(now, &hello(Proof::First(token(1)))), Ok(Admitted::First(7)));
        assert_eq!(admission.admit(now, &hello(Proof::Again(token(2)))), Ok(Admitted::Again(7)));
    }

    #[test]
    fn a_wrong_token_is_refused_and_spoils_nothing() {
        let (now, mut admission) = admission();
        let wrong = hello(Proof::First(token(9)));
        assert_eq!(admission.admit(now, &wrong), Err(Refusal::WrongToken));
        assert!(admission.admit(now, &hello(Proof::First(token(1)))).is_ok());
    }

    #[test]
    fn a_used_token_is_refused() {
        let (now, mut admission) = admission();
        let first = hello(Proof::First(token(1)));
        assert!(admission.admit(now, &first).is_ok());
        assert_eq!(admission.admit(now, &first), Err(Refusal::UsedToken));
    }

    #[test]
    fn an_expired_token_is_refused() {
        let (now, mut admission) = admission();
        let late = now + Duration::from_secs(10);
        let first = hello(Proof::First(token(1)));
        assert_eq!(admission.admit(late, &first), Err(Refusal::ExpiredToken));
    }

    #[test]
    fn another_build_is_refused_with_both_and_its_token_is_spent() {
        let (now, mut admission) = admission();
        let other = Hello { build: BuildId::new("other"), ..hello(Proof::First(token(1))) };
        let (parent, runner) = (BuildId::new("build"), BuildId::new("other"));
        assert_eq!(admission.admit(now, &other), Err(Refusal::OtherBuild { parent, runner }));
        let first = hello(Proof::First(token(1)));
        assert_eq!(admission.admit(now, &first), Err(Refusal::UsedToken));
    }

    #[test]
    fn another_protocol_is_refused() {
        let (now, mut admission) = admission();
        let other = Hello { protocol: 99, ..hello(Proof::First(token(1))) };
        let refusal = Refusal::OtherProtocol { parent: PROTOCOL, runner: 99 };
        assert_eq!(admission.admit(now, &other), Err(refusal));
    }

    #[test]
    fn a_key_is_worth_nothing_before_the_token_or_for_a_runner_that_is_gone() {
        let (now, mut admission) = admission();
        let again = hello(Proof::Again(token(2)));
        assert_eq!(admission.admit(now, &again), Err(Refusal::WrongToken));
        admission.admit(now, &hello(Proof::First(token(1)))).unwrap();
        let wrong = hello(Proof::Again(token(3)));
        assert_eq!(admission.admit(now, &wrong), Err(Refusal::WrongToken));
        admission.forget(RUNNER);
        assert_eq!(admission.admit(now, &again), Err(Refusal::UnknownRunner));
    }
}
