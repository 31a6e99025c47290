//! The supervisor of a Lambda environment: it stays while its child becomes another program.
//!
//! ```text
//!  Lambda's Runtime API ◀── next, response, error ── supervisor ◀── the same ── child
//!                                                        │                        │ exec
//!                                                        └─ the open event, again ▶ the app
//! ```
//!
//! The child starts as this executable. In its first invocation it downloads the parent's
//! executable and becomes it. The new program asks for its next event, as every program on Lambda
//! does, and the supervisor gives it the event whose answer is still missing. Later invocations
//! find the app running, and a parent of another build makes it become another program again.

mod child;
mod runtime_api;
mod state;

use std::net::SocketAddr;
use std::process::ExitCode;

use flame_runner_shim::host::lambda::Environment;
use flame_runner_shim::host::termination_signals;
use flame_runner_shim::log_writer;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use self::child::{RUNTIME_API_ENV, SupervisedChild};
pub(crate) use self::runtime_api::RuntimeApiError;
use self::runtime_api::{
    Answer, AnswerKind, ChildRequest, HttpMessage, Reply, RuntimeApi, error_message,
    error_response, event_response,
};
use self::state::{
    Action, Failure, FunctionEvent, MAX_IDLE_EXITS, SupervisorEnd, SupervisorInput, SupervisorState,
};
use crate::error::RunError;
use crate::exit_code;

/// Supervises one child after another, for as long as the environment lives.
pub(crate) async fn run() -> Result<ExitCode, RunError> {
    Environment::check()?;
    let mut supervisor = EnvironmentSupervisor::start().await?;
    loop {
        while let Some(action) = supervisor.state.poll_action() {
            if let Some(code) = supervisor.carry_out(action).await? {
                return Ok(exit_code(code).await);
            }
        }
        let input = supervisor.next_input().await?;
        supervisor.state.handle(input);
    }
}

/// The driver of the [`SupervisorState`]. It decides nothing.
struct EnvironmentSupervisor {
    state: SupervisorState<Reply, Answer, HttpMessage>,
    /// Lambda's.
    api: RuntimeApi,
    /// The request for the next event, if there is one.
    fetch: JoinSet<Result<(String, HttpMessage), RuntimeApiError>>,
    child: Option<SupervisedChild>,
    /// The address at which the child finds the Runtime API.
    address: SocketAddr,
    requests: UnboundedReceiver<ChildRequest>,
    signals: UnboundedReceiver<i32>,
}

impl EnvironmentSupervisor {
    async fn start() -> Result<Self, RunError> {
        let (listener, address) = runtime_api::listen().await.map_err(RunError::Listen)?;
        let (to, requests) = mpsc::unbounded_channel();
        tokio::spawn(runtime_api::serve(listener, to));
        Ok(Self {
            state: SupervisorState::new(),
            api: RuntimeApi { address: std::env::var(RUNTIME_API_ENV).unwrap_or_default() },
            fetch: JoinSet::new(),
            child: None,
            address,
            requests,
            signals: termination_signals().map_err(RunError::Signals)?,
        })
    }

    async fn next_input(
        &mut self,
    ) -> Result<SupervisorInput<Reply, Answer, HttpMessage>, RunError> {
        let ended = async {
            match &mut self.child {
                Some(child) => child.ended().await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            // An answer that the child gave before its end counts.
            biased;
            Some(request) = self.requests.recv() => match request {
                ChildRequest::Next(reply) => SupervisorInput::NextRequested(reply),
                ChildRequest::Answer { request_id, answer } => {
                    SupervisorInput::Answered { request_id, answer }
                }
                ChildRequest::InitError(answer) => SupervisorInput::InitFailed(answer),
            },
            Some(Ok(fetched)) = self.fetch.join_next() => {
                let (request_id, payload) = fetched?;
                SupervisorInput::Fetched(FunctionEvent { request_id, payload })
            }
            how = ended => {
                self.child = None;
                SupervisorInput::ChildExited(how)
            }
            Some(signal) = self.signals.recv() => {
                if let Some(child) = &self.child {
                    child.signal(signal);
                }
                SupervisorInput::Signalled
            }
        })
    }

    /// Returns the exit code if this process ends.
    async fn carry_out(
        &mut self,
        action: Action<Reply, Answer, HttpMessage>,
    ) -> Result<Option<i32>, RunError> {
        match action {
            Action::StartChild => {
                let child = SupervisedChild::start(self.address).map_err(RunError::Child)?;
                self.child = Some(child);
            }
            Action::Fetch => {
                // Lambda freezes this environment when it is asked.
                self.pass_on_output().await;
                let api = self.api.clone();
                self.fetch.spawn(async move { api.next().await });
            }
            Action::Deliver(reply, event) => {
                if reply.send(event_response(event.payload)).is_err() {
                    self.state.handle(SupervisorInput::Undelivered);
                }
            }
            Action::Forward { request_id, answer: Answer { kind, message, reply } } => {
                // Lambda may freeze this environment after the answer.
                self.pass_on_output().await;
                let response = self.api.answer(&request_id, kind, message).await?;
                // A child that is gone needs no response.
                let _ = reply.send(response);
            }
            Action::Refuse(Answer { reply, .. }) => {
                let refused = error_response(StatusCode::BAD_REQUEST, "InvalidRequestID");
                let _ = reply.send(refused);
            }
            Action::ForwardInitError(Answer { message, reply, .. }) => {
                let _ = reply.send(self.api.init_error(message).await?);
            }
            Action::Fail { request_id, failure } => {
                let message = match failure {
                    Failure::ChildExited(how) => error_message(
                        "Flame.RunnerExited",
                        &format!("the runner's process ended during the invocation: {how}"),
                    ),
                    Failure::NotAnswered => error_message(
                        "Flame.NotAnswered",
                        "the runner's process asked for another event, and has not answered this one",
                    ),
                };
                self.pass_on_output().await;
                self.api.answer(&request_id, AnswerKind::Error, message).await?;
            }
            Action::End(SupervisorEnd::Signalled) => return Ok(Some(0)),
            Action::End(SupervisorEnd::NoChildServes { how, initialised }) => {
                let text = format!(
                    "{MAX_IDLE_EXITS} processes in a row ended before they served an invocation: {how}"
                );
                log_writer::print_line(format!("flame-runner: {text}"));
                if !initialised {
                    self.api.init_error(error_message("Flame.NoRunner", &text)).await?;
                }
                return Ok(Some(1));
            }
        }
        Ok(None)
    }

    /// Writes the lines that the child has printed so far, while this environment is not frozen.
    async fn pass_on_output(&self) {
        if let Some(child) = &self.child {
            child.read_output().await;
        }
    }
}
