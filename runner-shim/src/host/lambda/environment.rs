//! A Lambda execution environment: a process that is one runner after another.
//!
//! ```text
//! start ─▶ next event ─▶ Runner::run ─▶ InvocationResponse ─▶ posted ─▶ frozen .. thawed ─▶ next event
//!              ▲       └─ bad event: an error ───────────────▲            │
//!              └──────────────────────────────────────────────────────────┘
//!                                functions still running, or SIGTERM: the process exits
//! ```

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flame_wire::ids::BuildId;
use flame_wire::parent::FlameParent;
use flame_wire::sync::Mutex;
use futures_util::FutureExt;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use tokio::sync::mpsc;
use tracing::{Dispatch, dispatcher};

use super::event::InvocationPayload;
use super::{EventError, InvocationResponse, LambdaHost};
use crate::context::set_process_depth;
use crate::host::Host;
use crate::log::LogSink;
use crate::log_writer;
use crate::runner::{Connect, EndHook, IdlePredicate, Runner, run_end_hook};

/// The number of log records that may wait for the link. More are dropped, and the log counts them.
const LOG_BUFFER: usize = 1024;

/// The variables that Lambda sets for every function, and that its runtime crate needs.
const REQUIRED: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// The state that the runners of an environment have in common.
pub struct Environment {
    /// The build id of the executable.
    pub build: BuildId,
    /// Asked before a runner proposes to end; `None`: it always may.
    pub idle_predicate: Option<IdlePredicate>,
    /// Run at the end of each runner, before Lambda freezes the environment.
    pub end_hook: Option<EndHook>,
    /// The destination of the app's log. Each runner attaches itself.
    pub log: LogSink,
    /// The signals that the process receives. Lambda sends SIGTERM only if the function has
    /// extensions (AWS documentation, Lambda execution environment lifecycle).
    pub signals: mpsc::UnboundedReceiver<i32>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("build", &self.build).finish_non_exhaustive()
    }
}

/// Why an environment ends, and the process with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvironmentEnd {
    /// Plain functions of a runner that has ended are still running.
    FunctionsStillRunning,
    /// The process received this signal.
    Signal(i32),
}

/// Why a process can't serve Lambda invocations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The process does not run on Lambda.
    #[error(
        "this process does not run on Lambda ({} not set): FLAME_RUNNER=lambda belongs only in the \
         environment of the runners' Lambda function; unset it here", missing.join(", ")
    )]
    NotLambda {
        /// The variables that are missing, or are not numbers although they have to be.
        missing: Vec<&'static str>,
    },
    /// Lambda's runtime API failed, or sent an unexpected answer.
    #[error("Lambda's runtime API failed: {0}; Lambda replaces this environment")]
    RuntimeApi(String),
}

impl Environment {
    /// Checks that this process runs on Lambda.
    ///
    /// # Errors
    /// [`EnvironmentError::NotLambda`].
    pub fn check() -> Result<(), EnvironmentError> {
        let missing = missing(|name| std::env::var(name).ok());
        if missing.is_empty() { Ok(()) } else { Err(EnvironmentError::NotLambda { missing }) }
    }

    /// Serves events for as long as the environment lives. Afterwards the process has to exit.
    ///
    /// # Errors
    /// [`EnvironmentError`].
    pub async fn serve(self) -> Result<EnvironmentEnd, EnvironmentError> {
        Self::check()?;
        let Self { build, idle_predicate, end_hook, log, mut signals } = self;
        let current = Arc::new(CurrentRunner::default());
        let current_runner = current.clone();
        let handler =
            InvocationHandler { build, idle_predicate, end_hook, log, current: current_runner };
        let handler =
            service_fn(move |event: LambdaEvent<InvocationPayload>| handler.clone().serve(event));
        let of_layer = current.clone();
        let runtime = Runtime::new(handler)
            .layer(layer_fn(move |inner| EndAfterResponse { inner, current: of_layer.clone() }));
        // Any failure in the runtime ends this environment; it must not become a panic of the app.
        let run = AssertUnwindSafe(runtime.run()).catch_unwind();
        let signalled = async {
            loop {
                match signals.recv().await {
                    Some(signal) if !current.signal(signal) => return signal,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        };
        let ended = tokio::select! {
            ended = run => ended,
            signal = signalled => return Ok(EnvironmentEnd::Signal(signal)),
        };
        match (current.end(), ended) {
            (Some(left), _) => Ok(left),
            (None, Ok(Err(error))) => Err(EnvironmentError::RuntimeApi(error.to_string())),
            (None, Ok(Ok(()))) => Err(EnvironmentError::RuntimeApi("its client ended".to_owned())),
            (None, Err(_)) => Err(EnvironmentError::RuntimeApi("its client panicked".to_owned())),
        }
    }
}

fn missing(variable: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let usable = |name: &str| {
        let is_number = |text: &String| text.parse::<i32>().is_ok();
        let value = variable(name);
        value.is_some_and(|text| name != "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" || is_number(&text))
    };
    REQUIRED.into_iter().filter(|name| !usable(name)).collect()
}

/// Makes each event a runner.
#[derive(Clone)]
struct InvocationHandler {
    build: BuildId,
    idle_predicate: Option<IdlePredicate>,
    end_hook: Option<EndHook>,
    log: LogSink,
    current: Arc<CurrentRunner>,
}

impl InvocationHandler {
    async fn serve(
        self,
        event: LambdaEvent<InvocationPayload>,
    ) -> Result<InvocationResponse, EventError> {
        let (payload, context) = event.into_parts();
        let parent = payload.parent()?;
        let answer = self.runner(parent, context.deadline(), &context.request_id).await;
        if answer.leaves_functions_running() {
            self.current.end_after_response(EnvironmentEnd::FunctionsStillRunning);
        }
        let code = answer.code().map(|code| format!(" (code {code})")).unwrap_or_default();
        log_writer::print_line(format!(
            "flame-aws: request {}: {answer}{code}",
            context.request_id
        ));
        // The environment is frozen after the response.
        log_writer::global().flush().await;
        Ok(answer)
    }

    async fn runner(
        &self,
        parent: FlameParent,
        deadline: std::time::SystemTime,
        request: &str,
    ) -> InvocationResponse {
        set_process_depth(parent.depth);
        let (records, logs) = mpsc::channel(LOG_BUFFER);
        let _attached = parent.limits.log.then(|| self.log.attach(records));
        let (_current, signals) = CurrentRunner::begin(&self.current);
        let host: Arc<dyn Host> = Arc::new(LambdaHost::new(parent.runner, deadline));
        tracing::debug!(runner = %parent.runner, request, "this invocation is a runner");
        let runner = Runner {
            connect: Connect::dial(&parent),
            parent,
            host: host.clone(),
            build: self.build.clone(),
            idle_predicate: self.idle_predicate.clone(),
            logs: Some(logs),
            signals,
        };
        let ended = runner.run().await;
        run_end_hook(self.end_hook.as_ref(), host.expires_in()).await;
        InvocationResponse::of(ended)
    }
}

/// The runner that currently lives here, and whether the environment ends after it.
#[derive(Default)]
struct CurrentRunner {
    signals: Mutex<Option<mpsc::UnboundedSender<i32>>>,
    end: Mutex<Option<EnvironmentEnd>>,
}

impl CurrentRunner {
    fn begin(this: &Arc<Self>) -> (CurrentRunnerGuard, mpsc::UnboundedReceiver<i32>) {
        let (to, signals) = mpsc::unbounded_channel();
        *this.signals.lock() = Some(to);
        (CurrentRunnerGuard(this.clone()), signals)
    }

    /// Passes a signal to the current runner, and ends the environment after it. Returns `false` if
    /// there is no runner.
    fn signal(&self, signal: i32) -> bool {
        let sent = self.signals.lock().as_ref().is_some_and(|to| to.send(signal).is_ok());
        if sent {
            self.end_after_response(EnvironmentEnd::Signal(signal));
        }
        sent
    }

    fn end_after_response(&self, end: EnvironmentEnd) {
        self.end.lock().get_or_insert(end);
    }

    fn end(&self) -> Option<EnvironmentEnd> {
        *self.end.lock()
    }
}

struct CurrentRunnerGuard(Arc<CurrentRunner>);

impl Drop for CurrentRunnerGuard {
    fn drop(&mut self) {
        *self.0.signals.lock() = None;
    }
}

/// Keeps events out of the log. Ends the runtime after a response if the environment must not be
/// used again.
struct EndAfterResponse<S> {
    inner: S,
    current: Arc<CurrentRunner>,
}

impl<S> Service<LambdaInvocation> for EndAfterResponse<S>
where
    S: Service<LambdaInvocation, Response = (), Error = lambda_runtime::Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = lambda_runtime::Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), lambda_runtime::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), lambda_runtime::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        // At TRACE the runtime crate logs whole events, and with them the token. None of our code
        // runs within this call: the runner runs when the returned future is polled.
        let answered = dispatcher::with_default(&Dispatch::none(), || self.inner.call(invocation));
        let current = self.current.clone();
        Box::pin(async move {
            answered.await?;
            match current.end() {
                Some(_) => Err("this environment ends".into()),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_variables_that_lambda_would_set() {
        let all = |name: &str| Some(if name.ends_with("SIZE") { "512" } else { "x" }.to_owned());
        assert!(missing(all).is_empty());
        assert_eq!(missing(|_| None), REQUIRED);
        let odd = |_: &str| Some("x".to_owned());
        assert_eq!(missing(odd), ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]);
        let error = EnvironmentError::NotLambda { missing: missing(odd) };
        assert!(error.to_string().contains("unset it here"), "{error}");
    }

    #[test]
    fn a_signal_goes_to_the_current_runner_and_ends_its_environment() {
        let current = Arc::new(CurrentRunner::default());
        assert!(!current.signal(15), "without a runner the environment ends at once");
        assert_eq!(current.end(), None);
        let (runner, mut signals) = CurrentRunner::begin(&current);
        assert!(current.signal(15));
        assert_eq!(signals.try_recv(), Ok(15));
        drop(runner);
        assert!(!current.signal(15));
        assert_eq!(current.end(), Some(EnvironmentEnd::Signal(15)));
    }
}
