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
//! does, and the supervisor gives it the event whose answer is still missing. Later invocations find
//! the app running, and a parent of another build makes it become another program again.

mod child;
mod runtime_api;
mod state;

use std::process::ExitCode;

use flame_runner_shim::host::lambda::Environment;
use flame_runner_shim::log_writer;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::child::{RUNTIME_API_ENV, SupervisedChild};
use self::runtime_api::{Answer, AnswerKind, ChildRequest, Message, Reply, RuntimeApi};
use self::runtime_api::{RuntimeApiError, error_message, error_response, event_response};
use self::state::{Action, Ending, Failure, FunctionEvent, Input, MAX_IDLE_EXITS, SupervisorState};
use crate::error::StartError;
use crate::{exit_code, signals};

/// Supervises one child after another, for as long as the environment lives.
pub(crate) async fn run() -> Result<ExitCode, StartError> {
    Environment::check()?;
    let api = RuntimeApi { address: std::env::var(RUNTIME_API_ENV).unwrap_or_default() };
    let mut signals = signals::listen()?;
    let (listener, address) = runtime_api::listen().await.map_err(StartError::Listen)?;
    let (to, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(runtime_api::serve(listener, to));
    let mut supervisor =
        Supervisor { api, state: SupervisorState::new(), child: None, fetch: JoinSet::new() };
    loop {
        while let Some(action) = supervisor.state.poll_action() {
            if let Action::StartChild = action {
                let child = SupervisedChild::start(address).map_err(StartError::Child)?;
                supervisor.child = Some(child);
                continue;
            }
            match supervisor.carry_out(action).await {
                Ok(None) => {}
                Ok(Some(code)) => return Ok(exit_code(code).await),
                Err(error) => {
                    log_writer::print_line(format!("flame-runner: {error}"));
                    return Ok(exit_code(1).await);
                }
            }
        }
        let input = tokio::select! {
            // An answer that the child gave before its end counts.
            biased;
            Some(request) = requests.recv() => match request {
                ChildRequest::Next(reply) => Input::NextRequested(reply),
                ChildRequest::Answer { request_id, answer } => Input::Answered { request_id, answer },
                ChildRequest::InitError(answer) => Input::InitFailed(answer),
            },
            Some(fetched) = supervisor.fetch.join_next() => match fetched {
                Ok(Ok((request_id, payload))) => Input::Fetched(FunctionEvent { request_id, payload }),
                Ok(Err(error)) => {
                    log_writer::print_line(format!("flame-runner: {error}"));
                    return Ok(exit_code(1).await);
                }
                // The runtime is shutting down.
                Err(_) => return Ok(exit_code(1).await),
            },
            how = ended(&mut supervisor.child) => {
                supervisor.child = None;
                Input::ChildExited(how)
            }
            Some(signal) = signals.recv() => {
                if let Some(child) = &supervisor.child {
                    child.signal(signal);
                }
                Input::Signalled
            }
        };
        supervisor.state.handle(input);
    }
}

async fn ended(child: &mut Option<SupervisedChild>) -> String {
    match child {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}

struct Supervisor {
    api: RuntimeApi,
    state: SupervisorState<Reply, Answer, Message>,
    child: Option<SupervisedChild>,
    /// The request for the next event, if there is one.
    fetch: JoinSet<Result<(String, Message), RuntimeApiError>>,
}

impl Supervisor {
    /// Returns the exit code if this process ends.
    async fn carry_out(
        &mut self,
        action: Action<Reply, Answer, Message>,
    ) -> Result<Option<i32>, RuntimeApiError> {
        match action {
            Action::StartChild => {}
            Action::Fetch => {
                // Lambda freezes this environment when it is asked.
                self.pass_on_output().await;
                let api = self.api.clone();
                self.fetch.spawn(async move { api.next().await });
            }
            Action::Deliver(reply, event) => {
                if reply.send(event_response(event.payload)).is_err() {
                    self.state.handle(Input::Undelivered);
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
            Action::End(Ending::Signalled) => return Ok(Some(0)),
            Action::End(Ending::NoChildServes { how, initialised }) => {
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
