//! Boots an instance, and waits for its hello.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flame_link::Io;
use flame_wire::hello::Hello;
use flame_wire::parent::FlameParent;
use flame_wire::time::millis;
use flame_wire::token::Token;
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::report::RunnerReport;
use super::{Connected, InstanceDeath, until};
use crate::admission::ExpectedRunner;
use crate::backend::{BootFailure, BootFailureKind, BootSpec, Instance};
use crate::code::may_sync;
use crate::inbox::{SocketInbox, TurnedAway};
use crate::listener::Endpoint;
use crate::pool::lane::{Lane, RunnerCommand};

/// How much longer than the boot timeout a backend may take to return from `remote_boot`.
pub(super) const LATE_BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// A boot under way: the runner is expected at the listener.
pub(super) struct Boot {
    deadline: Instant,
    first_socket: mpsc::Receiver<Result<(Io, Hello), TurnedAway>>,
    later_sockets: mpsc::Receiver<Io>,
}

impl Boot {
    /// Prepares a boot, and returns it with the request to the backend. The listener expects the
    /// runner before the backend is asked for it.
    ///
    /// The token, and the FLAME_PARENT that has it, live only as long as the request. The listener
    /// keeps the token's hash.
    pub(super) fn begin(
        report: &RunnerReport,
        deadline: Instant,
    ) -> Result<(Self, impl Future<Output = Result<Instance, BootFailure>> + use<>), BootFailure>
    {
        let lane = report.lane.clone();
        let runner = report.runner;
        let (first, first_socket) = mpsc::channel(1);
        let (next, later_sockets) = mpsc::channel(1);
        let resume = generate_token()?;
        let token = generate_token()?;
        let code = lane.shared.code.clone();
        let code_sync = may_sync(code.as_ref(), &*lane.backend);
        let inbox = SocketInbox { resume, code, first, next };
        let expected =
            ExpectedRunner::new(token.hash(), inbox.resume.hash(), deadline.into_std(), inbox)
                .code_sync(code_sync);
        let listener = lane.shared.listener.clone();
        let in_memory = Arc::new(move || {
            let io = listener.connect_in_memory();
            async move { Ok(io) }.boxed()
        });
        let spec = BootSpec::new(flame_parent(&lane, report, token), in_memory)
            .map_err(|error| BootFailure::new(error.to_string()))?;
        lane.shared.expect_runner(runner, expected);
        let request = async move { lane.instances.remote_boot(spec).await };
        Ok((Self { deadline, first_socket, later_sockets }, request))
    }

    /// Waits until the runner has connected, or until it is certain that it will not.
    pub(super) async fn wait_for_hello(
        mut self,
        report: &RunnerReport,
        commands: &mut watch::Receiver<RunnerCommand>,
        death: InstanceDeath,
    ) -> Result<Connected, BootFailure> {
        let arrived = tokio::select! {
            biased;
            arrived = timeout_at(self.deadline, self.first_socket.recv()) => arrived,
            death = death => {
                let rejected = self.first_socket.try_recv().ok().and_then(Result::err);
                let failure = BootFailure::from(death);
                return Err(match rejected {
                    Some(why) => BootFailure {
                        kind: BootFailureKind::Rejected,
                        reason: why.to_string(),
                        ..failure
                    },
                    None => failure,
                });
            }
            () = until(commands, |command| *command > RunnerCommand::Serve) => {
                return Err(BootFailure::new("the pool no longer needed the runner"));
            }
        };
        match arrived {
            Ok(Some(Ok((io, hello)))) => {
                Ok(Connected { io, hello, later_sockets: self.later_sockets })
            }
            Ok(Some(Err(rejected))) => {
                Err(BootFailure::of(BootFailureKind::Rejected, rejected.to_string()))
            }
            Ok(None) => Err(BootFailure::new("the pool no longer expected the runner")),
            Err(_) => Err(never_connected(report)),
        }
    }
}

fn generate_token() -> Result<Token, BootFailure> {
    Token::generate().map_err(|error| BootFailure::new(error.to_string()))
}

/// The document that a runner boots with.
fn flame_parent(lane: &Lane, report: &RunnerReport, token: Token) -> FlameParent {
    FlameParent {
        addresses: lane.shared.endpoint.addresses(report.runner),
        runner: report.runner,
        token,
        expires_unix_ms: Some(expires_unix_ms(lane.config.boot_timeout)),
        fingerprint: lane.shared.listener.key().fingerprint(),
        host: lane.backend.kind(),
        pool: lane.shared.name.clone(),
        depth: lane.config.depth,
        limits: lane.config.runner_limits.clone(),
    }
}

/// When a boot that begins now has timed out, in milliseconds of Unix time.
#[expect(clippy::disallowed_methods, reason = "the time is for another machine")]
fn expires_unix_ms(boot_timeout: Duration) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since.saturating_add(boot_timeout))
}

/// The backend has not returned from `remote_boot` in time.
pub(super) fn backend_timed_out(report: &RunnerReport) -> BootFailure {
    let limit = report.lane.config.boot_timeout;
    let reason = format!(
        "the backend did not start an instance within the boot timeout of {limit:?}: raise \
         `boot_timeout`, or find out what delays the backend"
    );
    BootFailure::of(BootFailureKind::TimedOut, reason)
}

/// The runner has not connected in time, or has not become this executable in time.
fn never_connected(report: &RunnerReport) -> BootFailure {
    let lane = &report.lane;
    let limit = lane.config.boot_timeout;
    let reason = if lane.shared.listener.admission().was_offered_code(report.runner) {
        format!(
            "the runner connected, but had not become this executable (`code_sync`) within the boot \
             timeout of {limit:?}: raise `boot_timeout`, deploy the same build to both, or find out \
             what delays its connection or its start"
        )
    } else {
        let address = lane.shared.endpoint.description(report.runner);
        let advice = match lane.backend.connection_advice() {
            None => String::new(),
            Some(advice) if matches!(lane.shared.endpoint, Endpoint::Relay(_)) => {
                format!(" ({advice})")
            }
            // A backend with advice boots runners on other machines.
            Some(advice) => format!(
                " ({advice}); a parent that its runners can't reach needs a relay (`.relay(..)`)"
            ),
        };
        format!(
            "the runner did not connect within the boot timeout of {limit:?}: raise `boot_timeout`, \
             check that its `main` reaches `App::run`, and that it can reach {address}{advice}"
        )
    };
    BootFailure::of(BootFailureKind::TimedOut, reason)
}
