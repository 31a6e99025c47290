//! Where a runner lives, and how that place is left.
//!
//! The runner itself is the same everywhere; a [`Host`] says what differs: the name of the instance
//! in the hello, how long the platform lets it live, and how it is shut down.

use std::time::Duration;

use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;

#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(test)]
mod tests;

/// The variable that makes a process a runner without FLAME_PARENT in its environment: its platform
/// hands it one after the other. It is set where the runners are deployed, never guessed: a process
/// on the same platform may be a parent.
pub const RUNNER_ENV: &str = "FLAME_RUNNER";
/// What [`RUNNER_ENV`] says on a Lambda function whose invocations are runners.
pub const RUNNER_ON_LAMBDA: &str = "lambda";

/// How long standard output and error may take to be written out before the process ends. Whoever
/// reads the other end of the pipe may have stopped to.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The place a runner runs in.
pub trait Host: Send + Sync {
    /// Which kind of place this is.
    fn kind(&self) -> HostKind;

    /// What the backend calls this instance: `pid-1234`, a task ARN, a request id. It must be the
    /// same text by which the backend knows it.
    fn instance(&self) -> String;

    /// How long the platform will let the instance live, counted from now and without a margin.
    /// Default: `None`, no limit.
    fn expires_in(&self) -> Option<Duration> {
        None
    }

    /// How long after a signal that asks the process to end the platform kills it, without a margin.
    /// Default: `None`, it does not.
    fn kills_after(&self) -> Option<Duration> {
        None
    }

    /// Whether the process serves another runner after this one, as a Lambda environment does. Then
    /// the runner ends all that it has started before it returns. Default: `false`, the process
    /// ends with it.
    fn is_reused(&self) -> bool {
        false
    }

    /// Ends the instance. Called once, as the runner's last act; for a host that is a process of
    /// its own the future never completes.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()>;
}

/// A process of its own: a child of the process backend, or the main process of a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessHost;

impl Host for ProcessHost {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn instance(&self) -> String {
        process_instance_name(std::process::id())
    }

    /// Writes out standard output and error, for one second at most, and leaves the process.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            tracing::debug!(?reason, code, "the runner's process ends");
            flush_stdio();
            std::process::exit(code)
        })
    }
}

/// The instance name of a process, as [`ProcessHost`] states it and the process backend expects it.
#[must_use]
pub fn process_instance_name(pid: u32) -> String {
    format!("pid-{pid}")
}

/// A runner inside the parent's own process: there is nothing to shut down.
#[derive(Clone, Debug)]
pub struct LocalHost {
    instance: String,
}

impl LocalHost {
    /// A host whose instance has this name.
    #[must_use]
    pub fn new(instance: impl Into<String>) -> Self {
        Self { instance: instance.into() }
    }
}

impl Host for LocalHost {
    fn kind(&self) -> HostKind {
        HostKind::Local
    }

    fn instance(&self) -> String {
        self.instance.clone()
    }

    /// Does nothing.
    fn shutdown(&self, _reason: EndReason, _code: i32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The signals that ask a process to end: SIGTERM and SIGINT.
///
/// From the first [`TerminationSignals::listen`] on, the process no longer ends by itself on either.
#[cfg(unix)]
#[derive(Debug)]
pub struct TerminationSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl TerminationSignals {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If the handlers can't be installed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next signal. Several of one kind that come at once may be seen as one.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost when the future is dropped.
    pub async fn recv(&mut self) -> i32 {
        use tokio::signal::unix::SignalKind;
        tokio::select! {
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            // Neither stream ends while the runtime stands.
            else => std::future::pending().await,
        }
    }
}

/// Flushes on a thread of its own: a full pipe that nobody reads blocks without end, and a runner
/// must be able to go all the same.
pub(crate) fn flush_stdio() {
    use std::io::Write;
    let (done, flushed) = std::sync::mpsc::channel();
    let flusher = std::thread::Builder::new().name("flame-flush".to_owned()).spawn(move || {
        // The process ends next: there is nobody left to tell of a failed write.
        let _ = std::io::stdout().flush();
        let _ = std::io::stderr().flush();
        let _ = done.send(());
    });
    if flusher.is_ok() {
        let _ = flushed.recv_timeout(FLUSH_LIMIT);
    }
}
