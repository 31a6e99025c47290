//! A Lambda environment: a process that is one runner after the other.
//!
//! ```text
//! start ─▶ next event ─▶ Payload ─▶ Runner::run ─▶ Answer ─▶ posted ─▶ frozen .. thawed ─▶ next event
//!              ▲             └─ bad: an error ──────────────────▲            │
//!              └────────────────────────────────────────────────────────────┘
//!                                                a function still runs, or SIGTERM: the process ends
//! ```

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use flame_wire::ids::BuildId;
use flame_wire::parent::FlameParent;
use futures_util::FutureExt;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use tokio::sync::mpsc;
use tracing::{Dispatch, dispatcher};

use super::event::InvocationPayload;
use super::{EventError, InvocationResponse, LambdaHost};
use crate::context::set_process_depth;
use crate::log::LogSink;
use crate::log_writer;
use crate::runner::Connect;
use crate::runner::{IdlePredicate, Runner};

/// Log records that wait for the link; more are dropped, and the log says how many.
const LOG_BUFFER: usize = 1024;

/// What Lambda sets for every function, and its runtime crate does not start without.
const REQUIRED: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// All that the runners of an environment have in common.
pub struct Environment {
    /// The executable.
    pub build: BuildId,
    /// Asked before a runner proposes to end; none: it may always.
    pub idle_predicate: Option<IdlePredicate>,
    /// Where the app's log goes: each runner attaches itself.
    pub log: LogSink,
    /// Signals that the process gets. Lambda sends SIGTERM only where the function has extensions
    /// (AWS documentation, Lambda execution environment lifecycle).
    pub signals: mpsc::UnboundedReceiver<i32>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("build", &self.build).finish_non_exhaustive()
    }
}

/// Why an environment is left: the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvironmentEnd {
    /// Plain functions of a runner that has ended still run.
    FunctionsStillRunning,
    /// The process was sent this signal.
    Signal(i32),
}

/// Why a process can't serve Lambda invocations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It does not run on Lambda.
    #[error(
        "this process does not run on Lambda ({} not set): FLAME_RUNNER=lambda belongs into the \
         environment of the runners' Lambda function alone; unset it here", missing.join(", ")
    )]
    NotLambda {
        /// The variables that are missing, or no numbers where they must be.
        missing: Vec<&'static str>,
    },
    /// Lambda's runtime API fails, or broke its protocol.
    #[error("Lambda's runtime API can't be served: {0}; Lambda replaces this environment")]
    RuntimeApi(String),
}

impl Environment {
    /// Whether this process runs on Lambda.
    ///
    /// # Errors
    /// [`EnvironmentError::NotLambda`].
    pub fn check() -> Result<(), EnvironmentError> {
        let missing = missing(|name| std::env::var(name).ok());
        if missing.is_empty() { Ok(()) } else { Err(EnvironmentError::NotLambda { missing }) }
    }

    /// Serves events for as long as the environment lives. The process ends after it.
    ///
    /// # Errors
    /// [`EnvironmentError`].
    pub async fn serve(self) -> Result<EnvironmentEnd, EnvironmentError> {
        Self::check()?;
        let Self { build, idle_predicate, log, mut signals } = self;
        let current = Arc::new(CurrentRunner::default());
        let handler = InvocationHandler { build, idle_predicate, log, current: current.clone() };
        let handler =
            service_fn(move |event: LambdaEvent<InvocationPayload>| handler.clone().serve(event));
        let spent = current.clone();
        let runtime = Runtime::new(handler)
            .layer(layer_fn(move |inner| EndAfterResponse { inner, current: spent.clone() }));
        // Whatever breaks in there is this environment's end, and never the app's panic.
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
            (None, Ok(Ok(()))) => Err(EnvironmentError::RuntimeApi("it has ended".to_owned())),
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

/// Makes a runner of each event.
#[derive(Clone)]
struct InvocationHandler {
    build: BuildId,
    idle_predicate: Option<IdlePredicate>,
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
        // Behind the answer the environment is frozen.
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
        let host = LambdaHost::new(parent.runner, deadline);
        tracing::debug!(runner = %parent.runner, request, "an invocation is a runner");
        let runner = Runner {
            connect: Connect::Dial {
                address: parent.address.clone(),
                fingerprint: parent.fingerprint,
            },
            parent,
            host: Arc::new(host),
            build: self.build.clone(),
            idle_predicate: self.idle_predicate.clone(),
            logs: Some(logs),
            signals,
        };
        InvocationResponse::of(runner.run().await)
    }
}

/// The runner of the moment, and whether the environment is to be left.
#[derive(Default)]
struct CurrentRunner {
    signals: Mutex<Option<mpsc::UnboundedSender<i32>>>,
    end: Mutex<Option<EnvironmentEnd>>,
}

impl CurrentRunner {
    fn begin(this: &Arc<Self>) -> (CurrentRunnerGuard, mpsc::UnboundedReceiver<i32>) {
        let (to, signals) = mpsc::unbounded_channel();
        *lock(&this.signals) = Some(to);
        (CurrentRunnerGuard(this.clone()), signals)
    }

    /// Hands a signal to the runner; false, if there is none. Its environment is left with it.
    fn signal(&self, signal: i32) -> bool {
        let told = lock(&self.signals).as_ref().is_some_and(|to| to.send(signal).is_ok());
        if told {
            self.end_after_response(EnvironmentEnd::Signal(signal));
        }
        told
    }

    fn end_after_response(&self, end: EnvironmentEnd) {
        lock(&self.end).get_or_insert(end);
    }

    fn end(&self) -> Option<EnvironmentEnd> {
        *lock(&self.end)
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

struct CurrentRunnerGuard(Arc<CurrentRunner>);

impl Drop for CurrentRunnerGuard {
    fn drop(&mut self) {
        *lock(&self.0.signals) = None;
    }
}

/// Keeps events out of the log, and ends the runtime when an answer is out after which the
/// environment is not to be used again.
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
        // At TRACE the crate logs the event whole, and the token in it. Nothing of ours runs in this
        // call: the runner does when its future is polled.
        let answered = dispatcher::with_default(&Dispatch::none(), || self.inner.call(invocation));
        let current = self.current.clone();
        Box::pin(async move {
            answered.await?;
            match current.end() {
                Some(_) => Err("the environment is left".into()),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_for_lambda_is_named() {
        let all = |name: &str| Some(if name.ends_with("SIZE") { "512" } else { "x" }.to_owned());
        assert!(missing(all).is_empty());
        assert_eq!(missing(|_| None), REQUIRED);
        let odd = |_: &str| Some("x".to_owned());
        assert_eq!(missing(odd), ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]);
        let error = EnvironmentError::NotLambda { missing: missing(odd) };
        assert!(error.to_string().contains("unset it here"), "{error}");
    }

    #[test]
    fn a_signal_goes_to_the_runner_of_the_moment_and_its_environment_is_left() {
        let current = Arc::new(CurrentRunner::default());
        assert!(!current.signal(15), "there is none: the environment ends at once");
        assert_eq!(current.end(), None);
        let (runner, mut signals) = CurrentRunner::begin(&current);
        assert!(current.signal(15));
        assert_eq!(signals.try_recv(), Ok(15));
        drop(runner);
        assert!(!current.signal(15));
        assert_eq!(current.end(), Some(EnvironmentEnd::Signal(15)));
    }
}
