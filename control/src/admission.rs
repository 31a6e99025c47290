//! Decides which runners a parent admits, by their boot tokens and resume keys. Pure: `now` is an
//! argument.
//!
//! ```text
//! expect ──▶ expected ── BootToken, in time, same build ──▶ welcomed ── confirmed ──▶ admitted
//!               │                                              ▲  │                      │
//!               │            BootToken: the welcome was lost ──┘  │                      │
//!               └── forget ◀──────────────────────────────────────┴──────────────────────┴── ResumeKey
//!
//! another build, valid token: rejected; or, with `code_sync`, offered this executable. The runner
//! then returns with the same token, and is of this build.
//! ```
//!
//! Invariants: a token admits one runner, once, before it expires. It is kept as a hash and
//! compared in constant time. Every other client learns only that it was rejected.
//!
//! If a welcome is lost with its socket, the runner can reconnect only with its token. So the token
//! stays valid until the runner confirms the welcome by sending a packet, or presents the resume
//! key that only the welcome carries. Until then the token is valid only for the runner that
//! presented it first: a platform that delivers a request twice starts two runners with one token,
//! and the second must not replace the first.

use std::collections::HashMap;
use std::time::Instant;

use flame_wire::hello::{Hello, NoCodeSync, PROTOCOL, Proof, Rejection};
use flame_wire::ids::{BuildId, RunnerRef};
use flame_wire::token::TokenHash;

/// How many times one runner is offered the executable. Each offer may cost a transfer, and a
/// runner whose connection breaks connects again and gets another offer.
const MAX_OFFERS: u32 = 16;

/// How a runner is admitted. `I` is the runner's inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted<I> {
    /// The runner joins the pool.
    Runner(I),
    /// The runner may download this executable until `until`. Its token stays valid.
    NeedsCode { inbox: I, until: Instant },
}

/// The runners that a pool expects or has; `I` is the type of their inboxes.
#[derive(Debug)]
pub(crate) struct Admission<I> {
    build: BuildId,
    runners: HashMap<RunnerRef, ExpectedRunner<I>>,
}

/// A runner that may connect, and the hashes of the secrets that prove its identity.
#[derive(Debug)]
pub(crate) struct ExpectedRunner<I> {
    /// The hash of the token in the runner's FLAME_PARENT.
    token: TokenHash,
    /// The hash of the resume key that the welcome carries.
    resume: TokenHash,
    /// When the boot is given up.
    expires: Instant,
    inbox: I,
    progress: AdmissionStage,
    /// Whether the runner may download this executable if it is of another build, or why not.
    code_sync: Result<(), NoCodeSync>,
    /// How often the runner was offered the executable.
    offers: u32,
    /// The incarnation that was welcomed, in case several were started with the same token.
    incarnation: Option<u64>,
    /// The runner's task has received a socket.
    has_socket: bool,
}

/// How far a runner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AdmissionStage {
    /// The runner has not connected.
    Expected,
    /// The welcome is on its way, or lost.
    Welcomed,
    /// The token is no longer valid: the runner has received its welcome, or it is of another build
    /// and was rejected for good.
    TokenUsed,
}

impl<I> ExpectedRunner<I> {
    pub(crate) fn new(token: TokenHash, resume: TokenHash, expires: Instant, inbox: I) -> Self {
        Self {
            token,
            resume,
            expires,
            inbox,
            progress: AdmissionStage::Expected,
            code_sync: Err(NoCodeSync::Disabled),
            offers: 0,
            incarnation: None,
            has_socket: false,
        }
    }

    /// Sets whether the runner may download this executable if it is of another build. Default: it
    /// may not, because [`code_sync` is disabled](NoCodeSync::Disabled).
    pub(crate) fn code_sync(self, code_sync: Result<(), NoCodeSync>) -> Self {
        Self { code_sync, ..self }
    }

    /// Whether a runner of another build may download this executable once more.
    fn may_download(&self, hello: &Hello) -> Result<(), NoCodeSync> {
        match self.code_sync {
            // The host's limit does not hold for a runner with a supervisor.
            Err(NoCodeSync::UnsupportedHost(_)) if hello.supervised => {}
            code_sync => code_sync?,
        }
        if hello.synced {
            return Err(NoCodeSync::StillAnotherBuild);
        }
        if self.offers >= MAX_OFFERS {
            return Err(NoCodeSync::TooManyOffers(self.offers));
        }
        Ok(())
    }
}

impl<I: Clone> Admission<I> {
    pub(crate) fn new(build: BuildId) -> Self {
        Self { build, runners: HashMap::new() }
    }

    /// A runner is about to be booted.
    pub(crate) fn expect(&mut self, runner: RunnerRef, expected: ExpectedRunner<I>) {
        self.runners.insert(runner, expected);
    }

    /// The runner is gone, or its boot was given up.
    pub(crate) fn forget(&mut self, runner: RunnerRef) {
        self.runners.remove(&runner);
    }

    /// The inbox of an expected runner.
    pub(crate) fn inbox(&self, runner: RunnerRef) -> Option<I> {
        self.runners.get(&runner).map(|expected| expected.inbox.clone())
    }

    /// Whether the runner was of another build when it connected, and was offered this executable.
    pub(crate) fn was_offered_code(&self, runner: RunnerRef) -> bool {
        self.runners.get(&runner).is_some_and(|expected| expected.offers > 0)
    }

    /// The runner's task is about to receive a socket. Returns whether it is the first.
    pub(crate) fn record_socket(&mut self, runner: RunnerRef) -> bool {
        let expected = self.runners.get_mut(&runner);
        expected.is_some_and(|expected| !std::mem::replace(&mut expected.has_socket, true))
    }

    /// The runner has sent a packet, so it has received its welcome.
    pub(crate) fn confirm_welcome(&mut self, runner: RunnerRef) {
        if let Some(expected) = self.runners.get_mut(&runner) {
            expected.progress = AdmissionStage::TokenUsed;
        }
    }

    /// Decides whether the runner that sent this hello is admitted.
    pub(crate) fn admit(&mut self, now: Instant, hello: &Hello) -> Result<Admitted<I>, Rejection> {
        if hello.protocol != PROTOCOL {
            return Err(Rejection::OtherProtocol { parent: PROTOCOL, runner: hello.protocol });
        }
        let expected = self.runners.get_mut(&hello.runner).ok_or(Rejection::UnknownRunner)?;
        match &hello.proof {
            Proof::BootToken(token) => {
                if !expected.token.matches(token) {
                    return Err(Rejection::WrongToken);
                }
                let is_other =
                    expected.incarnation.is_some_and(|welcomed| welcomed != hello.incarnation);
                if is_other || expected.progress == AdmissionStage::TokenUsed {
                    return Err(Rejection::UsedToken);
                }
                if !expected.has_socket && now >= expected.expires {
                    return Err(Rejection::ExpiredToken);
                }
                if hello.build != self.build {
                    if let Err(code_sync) = expected.may_download(hello) {
                        // The runner is rejected for good, so nobody needs this token again.
                        expected.progress = AdmissionStage::TokenUsed;
                        let (parent, runner) = (self.build.clone(), hello.build.clone());
                        return Err(Rejection::OtherBuild { parent, runner, sync: code_sync });
                    }
                    expected.offers += 1;
                    let (inbox, until) = (expected.inbox.clone(), expected.expires);
                    return Ok(Admitted::NeedsCode { inbox, until });
                }
                expected.progress = AdmissionStage::Welcomed;
                expected.incarnation = Some(hello.incarnation);
                Ok(Admitted::Runner(expected.inbox.clone()))
            }
            Proof::ResumeKey(key)
                if expected.progress > AdmissionStage::Expected && expected.resume.matches(key) =>
            {
                expected.progress = AdmissionStage::TokenUsed;
                Ok(Admitted::Runner(expected.inbox.clone()))
            }
            Proof::ResumeKey(_) => Err(Rejection::WrongToken),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use flame_wire::parent::HostKind;
    use flame_wire::token::Token;

    use super::*;

    const ADMITTED: Admitted<u32> = Admitted::Runner(7);
    pub(crate) const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);

    fn token(byte: u8) -> Token {
        Token::from_bytes([byte; 32])
    }

    /// The hello of [`RUNNER`], of a build with the id `build`.
    pub(crate) fn hello(proof: Proof) -> Hello {
        Hello {
            protocol: PROTOCOL,
            runner: RUNNER,
            proof,
            build: BuildId::new("build"),
            instance: "pid-1".to_owned(),
            pid: None,
            expires_in_ms: None,
            synced: false,
            incarnation: 1,
            supervised: false,
        }
    }

    fn of_another_build() -> Hello {
        Hello { build: BuildId::new("other"), ..hello(Proof::BootToken(token(1))) }
    }

    fn other_build(sync: NoCodeSync) -> Result<Admitted<u32>, Rejection> {
        let (parent, runner) = (BuildId::new("build"), BuildId::new("other"));
        Err(Rejection::OtherBuild { parent, runner, sync })
    }

    fn admission() -> (Instant, Admission<u32>) {
        admission_with(Err(NoCodeSync::Disabled))
    }

    fn admission_with(sync: Result<(), NoCodeSync>) -> (Instant, Admission<u32>) {
        let now = tokio::time::Instant::now().into_std();
        let mut admission = Admission::new(BuildId::new("build"));
        admission.expect(
            RUNNER,
            ExpectedRunner::new(token(1).hash(), token(2).hash(), now + Duration::from_secs(10), 7)
                .code_sync(sync),
        );
        (now, admission)
    }

    #[test]
    fn a_runner_is_admitted_by_its_boot_token_and_again_by_its_resume_key() {
        let (now, mut admission) = admission();
        assert_eq!(admission.admit(now, &hello(Proof::BootToken(token(1)))), Ok(ADMITTED));
        assert!(admission.record_socket(RUNNER), "the first socket");
        assert_eq!(admission.admit(now, &hello(Proof::ResumeKey(token(2)))), Ok(ADMITTED));
        assert!(!admission.record_socket(RUNNER), "not the first socket");
    }

    #[test]
    fn a_runner_whose_welcome_was_lost_may_use_its_token_once_more() {
        let (now, mut admission) = admission();
        let first = hello(Proof::BootToken(token(1)));
        assert_eq!(admission.admit(now, &first), Ok(ADMITTED));
        assert_eq!(admission.admit(now, &first), Ok(ADMITTED), "the welcome could not be sent");
        assert!(admission.record_socket(RUNNER));
        let late = now + Duration::from_secs(10);
        assert_eq!(admission.admit(late, &first), Ok(ADMITTED), "its first hello was in time");
        assert!(!admission.record_socket(RUNNER));
    }

    #[test]
    fn of_two_runners_with_one_token_only_the_first_is_admitted() {
        let (now, mut admission) = admission();
        let first = hello(Proof::BootToken(token(1)));
        let second = Hello { incarnation: 2, ..first.clone() };
        assert_eq!(admission.admit(now, &first), Ok(ADMITTED));
        // The first runner has not confirmed its welcome yet, so its token stays valid for it.
        assert_eq!(admission.admit(now, &second), Err(Rejection::UsedToken));
        assert_eq!(admission.admit(now, &first), Ok(ADMITTED));
        admission.confirm_welcome(RUNNER);
        assert_eq!(admission.admit(now, &second), Err(Rejection::UsedToken));
    }

    #[test]
    fn a_runner_with_its_resume_key_is_admitted_even_if_no_task_has_received_its_first_socket() {
        let (now, mut admission) = admission();
        assert_eq!(admission.admit(now, &hello(Proof::BootToken(token(1)))), Ok(ADMITTED));
        assert_eq!(admission.admit(now, &hello(Proof::ResumeKey(token(2)))), Ok(ADMITTED));
        assert!(admission.record_socket(RUNNER), "the first socket");
    }

    #[test]
    fn a_wrong_token_is_rejected_and_the_right_one_stays_valid() {
        let (now, mut admission) = admission();
        let wrong = hello(Proof::BootToken(token(9)));
        assert_eq!(admission.admit(now, &wrong), Err(Rejection::WrongToken));
        assert!(admission.admit(now, &hello(Proof::BootToken(token(1)))).is_ok());
    }

    #[test]
    fn a_token_is_used_up_once_its_runner_confirms_the_welcome_or_shows_its_resume_key() {
        let prove: [fn(Instant, &mut Admission<u32>); 2] = [
            |_, admission| admission.confirm_welcome(RUNNER),
            |now, admission| {
                assert!(admission.admit(now, &hello(Proof::ResumeKey(token(2)))).is_ok());
            },
        ];
        for prove in prove {
            let (now, mut admission) = admission();
            let first = hello(Proof::BootToken(token(1)));
            assert!(admission.admit(now, &first).is_ok());
            prove(now, &mut admission);
            assert_eq!(admission.admit(now, &first), Err(Rejection::UsedToken));
        }
    }

    #[test]
    fn an_expired_token_is_rejected() {
        let (now, mut admission) = admission();
        let late = now + Duration::from_secs(10);
        let first = hello(Proof::BootToken(token(1)));
        assert_eq!(admission.admit(late, &first), Err(Rejection::ExpiredToken));
    }

    #[test]
    fn a_runner_of_another_build_is_rejected_with_both_ids_and_its_token_is_used_up() {
        for sync in [NoCodeSync::Disabled, NoCodeSync::UnsupportedHost(HostKind::Lambda)] {
            let (now, mut admission) = admission_with(Err(sync));
            assert_eq!(admission.admit(now, &of_another_build()), other_build(sync));
            assert!(!admission.was_offered_code(RUNNER));
            let first = hello(Proof::BootToken(token(1)));
            assert_eq!(admission.admit(now, &first), Err(Rejection::UsedToken));
        }
    }

    #[test]
    fn a_runner_of_another_build_may_download_the_code_and_return_with_the_same_token() {
        let (now, mut admission) = admission_with(Ok(()));
        let until = now + Duration::from_secs(10);
        let admitted = admission.admit(now, &of_another_build());
        assert_eq!(admitted, Ok(Admitted::NeedsCode { inbox: 7, until }));
        assert!(admission.was_offered_code(RUNNER));
        let first = Hello { synced: true, ..hello(Proof::BootToken(token(1))) };
        assert_eq!(admission.admit(now, &first), Ok(ADMITTED));
        assert!(admission.record_socket(RUNNER), "the first socket");
    }

    #[test]
    fn on_a_host_without_code_sync_only_a_supervised_runner_may_download_the_code() {
        let supervised = Hello { supervised: true, ..of_another_build() };
        let unsupported = NoCodeSync::UnsupportedHost(HostKind::Lambda);
        let (now, mut admission) = admission_with(Err(unsupported));
        let until = now + Duration::from_secs(10);
        let admitted = admission.admit(now, &supervised);
        assert_eq!(admitted, Ok(Admitted::NeedsCode { inbox: 7, until }));
        assert_eq!(admission.admit(now, &of_another_build()), other_build(unsupported));
        let (now, mut admission) = admission_with(Err(NoCodeSync::Disabled));
        assert_eq!(admission.admit(now, &supervised), other_build(NoCodeSync::Disabled));
    }

    #[test]
    fn a_runner_that_is_of_another_build_even_after_a_download_is_rejected() {
        let (now, mut admission) = admission_with(Ok(()));
        assert!(admission.admit(now, &of_another_build()).is_ok());
        let again = Hello { synced: true, ..of_another_build() };
        assert_eq!(admission.admit(now, &again), other_build(NoCodeSync::StillAnotherBuild));
        assert_eq!(admission.admit(now, &again), Err(Rejection::UsedToken));
    }

    #[test]
    fn the_code_is_offered_a_limited_number_of_times() {
        let (now, mut admission) = admission_with(Ok(()));
        for _ in 0..MAX_OFFERS {
            assert!(admission.admit(now, &of_another_build()).is_ok());
        }
        let rejected = admission.admit(now, &of_another_build());
        assert_eq!(rejected, other_build(NoCodeSync::TooManyOffers(MAX_OFFERS)));
    }

    #[test]
    fn a_client_without_the_token_does_not_learn_that_its_build_is_wrong() {
        let (now, mut admission) = admission_with(Ok(()));
        let attacker = Hello { proof: Proof::BootToken(token(9)), ..of_another_build() };
        assert_eq!(admission.admit(now, &attacker), Err(Rejection::WrongToken));
        let key = Hello { proof: Proof::ResumeKey(token(2)), ..of_another_build() };
        assert_eq!(admission.admit(now, &key), Err(Rejection::WrongToken));
        let late = now + Duration::from_secs(10);
        assert_eq!(admission.admit(late, &of_another_build()), Err(Rejection::ExpiredToken));
        admission.confirm_welcome(RUNNER);
        assert_eq!(admission.admit(now, &of_another_build()), Err(Rejection::UsedToken));
        assert!(!admission.was_offered_code(RUNNER));
    }

    #[test]
    fn another_protocol_is_rejected() {
        let (now, mut admission) = admission();
        let other = Hello { protocol: 99, ..hello(Proof::BootToken(token(1))) };
        let rejection = Rejection::OtherProtocol { parent: PROTOCOL, runner: 99 };
        assert_eq!(admission.admit(now, &other), Err(rejection));
    }

    #[test]
    fn a_resume_key_is_rejected_before_the_token_was_used_and_after_the_runner_is_forgotten() {
        let (now, mut admission) = admission();
        let again = hello(Proof::ResumeKey(token(2)));
        assert_eq!(admission.admit(now, &again), Err(Rejection::WrongToken));
        admission.admit(now, &hello(Proof::BootToken(token(1)))).unwrap();
        let wrong = hello(Proof::ResumeKey(token(3)));
        assert_eq!(admission.admit(now, &wrong), Err(Rejection::WrongToken));
        admission.forget(RUNNER);
        assert_eq!(admission.admit(now, &again), Err(Rejection::UnknownRunner));
    }
}
