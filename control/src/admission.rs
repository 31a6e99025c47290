//! Who may come in: which runners are expected, and by what proof. Pure: `now` is an argument.
//!
//! ```text
//! expect ──▶ expected ── First(token), in time, same build ──▶ welcome ── heard ──▶ in
//!               │                                                ▲  │                │
//!               │                  First(token): it was lost ────┘  │                │
//!               └── forget ◀────────────────────────────────────────┴────────────────┴── Again(key)
//!
//! another build, its token good: refused; or, with `code_sync`, offered this executable. Then it
//! comes again by the same token, of this build.
//! ```
//!
//! Invariants: a token lets one runner in, once, before it expires; it is kept as a hash and
//! compared in constant time. Anybody else learns only that he is not wanted.
//!
//! A welcome may be lost with its socket, and then the runner has nothing but its token to come
//! back with. So the token is used up when the runner is heard after its welcome, or shows the key
//! that only the welcome brings: from then on it is worth nothing to anyone. Before that it is good
//! for the one that showed it first: a platform that delivers an order twice starts two runners
//! with one token, and the second must not take the first one's place.

use std::collections::HashMap;
use std::time::Instant;

use flame_wire::hello::{Hello, NoSync, PROTOCOL, Proof, Refusal};
use flame_wire::ids::{BuildId, RunnerRef};
use flame_wire::token::TokenHash;

/// How often one runner is offered the executable: each may cost a transfer, and a connection that
/// is cut takes another.
const MAX_OFFERS: u32 = 16;

/// Who may come in, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted<T> {
    /// As a runner of the pool.
    Runner(T),
    /// To fetch this executable until `by`; its token stays unused.
    Fetcher { keep: T, by: Instant },
}

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
    token: TokenHash,
    /// Of the key that its welcome brings.
    resume: TokenHash,
    /// When its boot is given up.
    expires: Instant,
    /// What the pool keeps of it.
    keep: T,
    progress: Progress,
    /// Whether it may fetch this executable if it is of another build; else why not.
    sync: Result<(), NoSync>,
    /// How often it was offered that.
    offers: u32,
    /// Which of those that were started with the token has been welcomed.
    life: Option<u64>,
    /// A socket of it has been handed on.
    arrived: bool,
}

impl<T> Expected<T> {
    pub(crate) fn new(token: TokenHash, resume: TokenHash, expires: Instant, keep: T) -> Self {
        let progress = Progress::Expected;
        Self {
            token,
            resume,
            expires,
            keep,
            progress,
            sync: Err(NoSync::Off),
            offers: 0,
            life: None,
            arrived: false,
        }
    }

    /// What becomes of it if it is of another build. Default: it is refused, [`NoSync::Off`].
    pub(crate) fn sync(self, sync: Result<(), NoSync>) -> Self {
        Self { sync, ..self }
    }

    /// Whether one of another build may fetch this executable once more.
    fn may_fetch(&self, hello: &Hello) -> Result<(), NoSync> {
        self.sync?;
        if hello.synced {
            return Err(NoSync::Again);
        }
        if self.offers >= MAX_OFFERS {
            return Err(NoSync::TooOften(self.offers));
        }
        Ok(())
    }
}

/// How far a runner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Nothing was seen of it.
    Expected,
    /// It is being welcomed, and may have its key.
    Welcomed,
    /// It has the welcome; or it is of another build, and gets none. Its token is used up.
    Done,
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

    /// Whether the runner was of another build when it came, and was offered this executable.
    pub(crate) fn was_offered_code(&self, runner: RunnerRef) -> bool {
        self.runners.get(&runner).is_some_and(|expected| expected.offers > 0)
    }

    /// A socket of the runner is handed on: whether it is the first.
    pub(crate) fn arrives(&mut self, runner: RunnerRef) -> bool {
        let expected = self.runners.get_mut(&runner);
        expected.is_some_and(|expected| !std::mem::replace(&mut expected.arrived, true))
    }

    /// The runner has its welcome, since it speaks.
    pub(crate) fn heard(&mut self, runner: RunnerRef) {
        if let Some(expected) = self.runners.get_mut(&runner) {
            expected.progress = Progress::Done;
        }
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
                let other = expected.life.is_some_and(|life| life != hello.life);
                if other || expected.progress == Progress::Done {
                    return Err(Refusal::UsedToken);
                }
                if !expected.arrived && now >= expected.expires {
                    return Err(Refusal::ExpiredToken);
                }
                if hello.build != self.build {
                    if let Err(sync) = expected.may_fetch(hello) {
                        // Nobody shows this token again.
                        expected.progress = Progress::Done;
                        let (parent, runner) = (self.build.clone(), hello.build.clone());
                        return Err(Refusal::OtherBuild { parent, runner, sync });
                    }
                    expected.offers += 1;
                    let (keep, by) = (expected.keep.clone(), expected.expires);
                    return Ok(Admitted::Fetcher { keep, by });
                }
                expected.progress = Progress::Welcomed;
                expected.life = Some(hello.life);
                Ok(Admitted::Runner(expected.keep.clone()))
            }
            Proof::Again(key)
                if expected.progress > Progress::Expected && expected.resume.matches(key) =>
            {
                expected.progress = Progress::Done;
                Ok(Admitted::Runner(expected.keep.clone()))
            }
            Proof::Again(_) => Err(Refusal::WrongToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flame_wire::parent::HostKind;
    use flame_wire::token::Token;

    use super::*;

    const IN: Admitted<u32> = Admitted::Runner(7);
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
            synced: false,
            life: 1,
        }
    }

    fn of_another_build() -> Hello {
        Hello { build: BuildId::new("other"), ..hello(Proof::First(token(1))) }
    }

    fn other_build(sync: NoSync) -> Result<Admitted<u32>, Refusal> {
        let (parent, runner) = (BuildId::new("build"), BuildId::new("other"));
        Err(Refusal::OtherBuild { parent, runner, sync })
    }

    fn admission() -> (Instant, Admission<u32>) {
        admission_with(Err(NoSync::Off))
    }

    fn admission_with(sync: Result<(), NoSync>) -> (Instant, Admission<u32>) {
        let now = tokio::time::Instant::now().into_std();
        let mut admission = Admission::new(BuildId::new("build"));
        admission.expect(
            RUNNER,
            Expected::new(token(1).hash(), token(2).hash(), now + Duration::from_secs(10), 7)
                .sync(sync),
        );
        (now, admission)
    }

    #[test]
    fn a_runner_comes_in_by_its_token_and_back_by_its_key() {
        let (now, mut admission) = admission();
        assert_eq!(admission.admit(now, &hello(Proof::First(token(1)))), Ok(IN));
        assert!(admission.arrives(RUNNER), "it is the first");
        assert_eq!(admission.admit(now, &hello(Proof::Again(token(2)))), Ok(IN));
        assert!(!admission.arrives(RUNNER), "it is another");
    }

    #[test]
    fn a_runner_whose_welcome_was_lost_comes_in_by_its_token_once_more() {
        let (now, mut admission) = admission();
        let first = hello(Proof::First(token(1)));
        assert_eq!(admission.admit(now, &first), Ok(IN));
        assert_eq!(admission.admit(now, &first), Ok(IN), "the welcome could not be sent");
        assert!(admission.arrives(RUNNER));
        let late = now + Duration::from_secs(10);
        assert_eq!(admission.admit(late, &first), Ok(IN), "it had come in time");
        assert!(!admission.arrives(RUNNER));
    }

    #[test]
    fn of_two_that_one_token_has_started_only_the_first_comes_in() {
        let (now, mut admission) = admission();
        let first = hello(Proof::First(token(1)));
        let second = Hello { life: 2, ..first.clone() };
        assert_eq!(admission.admit(now, &first), Ok(IN));
        // Not heard yet: its welcome may be lost, and the token is still good for it.
        assert_eq!(admission.admit(now, &second), Err(Refusal::UsedToken));
        assert_eq!(admission.admit(now, &first), Ok(IN));
        admission.heard(RUNNER);
        assert_eq!(admission.admit(now, &second), Err(Refusal::UsedToken));
    }

    #[test]
    fn a_runner_that_has_its_key_comes_back_although_its_first_socket_was_never_handed_on() {
        let (now, mut admission) = admission();
        assert_eq!(admission.admit(now, &hello(Proof::First(token(1)))), Ok(IN));
        assert_eq!(admission.admit(now, &hello(Proof::Again(token(2)))), Ok(IN));
        assert!(admission.arrives(RUNNER), "this one is the first");
    }

    #[test]
    fn a_wrong_token_is_refused_and_spoils_nothing() {
        let (now, mut admission) = admission();
        let wrong = hello(Proof::First(token(9)));
        assert_eq!(admission.admit(now, &wrong), Err(Refusal::WrongToken));
        assert!(admission.admit(now, &hello(Proof::First(token(1)))).is_ok());
    }

    #[test]
    fn a_token_is_used_up_when_its_runner_is_heard_or_shows_its_key() {
        let prove: [fn(Instant, &mut Admission<u32>); 2] = [
            |_, admission| admission.heard(RUNNER),
            |now, admission| {
                assert!(admission.admit(now, &hello(Proof::Again(token(2)))).is_ok());
            },
        ];
        for prove in prove {
            let (now, mut admission) = admission();
            let first = hello(Proof::First(token(1)));
            assert!(admission.admit(now, &first).is_ok());
            prove(now, &mut admission);
            assert_eq!(admission.admit(now, &first), Err(Refusal::UsedToken));
        }
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
        for sync in [NoSync::Off, NoSync::Host(HostKind::Lambda)] {
            let (now, mut admission) = admission_with(Err(sync));
            assert_eq!(admission.admit(now, &of_another_build()), other_build(sync));
            assert!(!admission.was_offered_code(RUNNER));
            let first = hello(Proof::First(token(1)));
            assert_eq!(admission.admit(now, &first), Err(Refusal::UsedToken));
        }
    }

    #[test]
    fn another_build_may_fetch_the_code_and_comes_in_by_the_same_token() {
        let (now, mut admission) = admission_with(Ok(()));
        let by = now + Duration::from_secs(10);
        let fetcher = admission.admit(now, &of_another_build());
        assert_eq!(fetcher, Ok(Admitted::Fetcher { keep: 7, by }));
        assert!(admission.was_offered_code(RUNNER));
        let first = Hello { synced: true, ..hello(Proof::First(token(1))) };
        assert_eq!(admission.admit(now, &first), Ok(IN));
        assert!(admission.arrives(RUNNER), "no socket of it was handed on before");
    }

    #[test]
    fn who_has_fetched_the_code_and_is_of_another_build_still_is_refused() {
        let (now, mut admission) = admission_with(Ok(()));
        assert!(admission.admit(now, &of_another_build()).is_ok());
        let again = Hello { synced: true, ..of_another_build() };
        assert_eq!(admission.admit(now, &again), other_build(NoSync::Again));
        assert_eq!(admission.admit(now, &again), Err(Refusal::UsedToken));
    }

    #[test]
    fn the_code_is_offered_so_often_and_no_more() {
        let (now, mut admission) = admission_with(Ok(()));
        for _ in 0..MAX_OFFERS {
            assert!(admission.admit(now, &of_another_build()).is_ok());
        }
        let refused = admission.admit(now, &of_another_build());
        assert_eq!(refused, other_build(NoSync::TooOften(MAX_OFFERS)));
    }

    #[test]
    fn a_stranger_of_another_build_learns_no_more_than_any_other() {
        let (now, mut admission) = admission_with(Ok(()));
        let stranger = Hello { proof: Proof::First(token(9)), ..of_another_build() };
        assert_eq!(admission.admit(now, &stranger), Err(Refusal::WrongToken));
        let key = Hello { proof: Proof::Again(token(2)), ..of_another_build() };
        assert_eq!(admission.admit(now, &key), Err(Refusal::WrongToken));
        let late = now + Duration::from_secs(10);
        assert_eq!(admission.admit(late, &of_another_build()), Err(Refusal::ExpiredToken));
        admission.heard(RUNNER);
        assert_eq!(admission.admit(now, &of_another_build()), Err(Refusal::UsedToken));
        assert!(!admission.was_offered_code(RUNNER));
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
