//! The platform on which a runner runs, and the way in which it shuts down there.
//!
//! The runner itself is the same everywhere. A [`Host`] supplies the differences: the instance name
//! in the hello, the time that the platform lets the instance live, and the way to shut it down.

use std::time::Duration;

use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;

pub mod docker;
#[cfg(feature = "ecs")]
pub mod ecs;
pub mod fly;
#[cfg(feature = "lambda")]
pub mod lambda;
mod signals;
#[cfg(test)]
mod tests;

pub use signals::termination_signals;

/// The variable that marks a process as a runner whose FLAME_PARENT comes later, from its platform.
/// Such a process may be several runners in turn, and gets one FLAME_PARENT for each. The variable
/// is set where the runners are deployed. The library never guesses it, because a parent may run on
/// the same platform.
pub const RUNNER_ENV: &str = "FLAME_RUNNER";
/// The value of [`RUNNER_ENV`] on a Lambda function whose invocations are runners.
pub const RUNNER_ON_LAMBDA: &str = "lambda";

/// The variable that a supervisor sets for the runner that it starts. The supervisor keeps an
/// invocation open while the runner executes another program in its own place.
pub const SUPERVISED_ENV: &str = "FLAME_SUPERVISED";

/// The variable in which a backend passes the time from SIGTERM to SIGKILL to a runner, in whole
/// seconds. Neither ECS nor Docker nor Fly makes it available inside the instance.
pub const STOP_TIMEOUT_ENV: &str = "FLAME_STOP_TIMEOUT";

/// How long flushing standard output and error may take before the process exits. The reader of the
/// pipe may have stopped reading.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The place where a runner lives.
pub trait Host: Send + Sync {
    /// The kind of host.
    fn kind(&self) -> HostKind;

    /// The backend's name for this instance: `pid-1234`, a task ARN, a request id. It must be
    /// exactly the text by which the backend knows the instance.
    fn instance(&self) -> String;

    /// How long the platform lets the instance live, from now and without a margin. Default:
    /// `None`, no limit.
    fn expires_in(&self) -> Option<Duration> {
        None
    }

    /// The time between a signal that asks the process to end and the platform's kill, without a
    /// margin. Default: `None`, no kill.
    fn kills_after(&self) -> Option<Duration> {
        None
    }

    /// Whether the process serves another runner after this one, as a Lambda environment does. Then
    /// the runner ends everything that it has started before it returns. Default: `false`, the
    /// process exits with the runner.
    fn is_reused(&self) -> bool {
        false
    }

    /// Ends the instance. Called once, as the runner's last act. If the host is a process of its
    /// own, the future never completes.
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

    /// Flushes standard output and error, for one second at most, and exits the process.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            tracing::debug!(?reason, code, "the runner's process exits");
            flush_stdio();
            std::process::exit(code)
        })
    }
}

/// The value of [`STOP_TIMEOUT_ENV`], if it is set and valid.
fn stop_timeout() -> Option<Duration> {
    seconds(&std::env::var(STOP_TIMEOUT_ENV).ok()?)
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs)
}

/// The instance name of a process, used by [`ProcessHost`] and by the process backend.
#[must_use]
pub fn process_instance_name(pid: u32) -> String {
    format!("pid-{pid}")
}

/// A runner inside the parent's process: there is nothing to shut down.
#[derive(Clone, Debug)]
pub struct LocalHost {
    instance: String,
}

impl LocalHost {
    /// A host with this instance name.
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

/// Flushes on a thread of its own: a full pipe that nobody reads blocks forever, and must not keep
/// a runner from exiting.
pub(crate) fn flush_stdio() {
    use std::io::Write;
    let (done, flushed) = std::sync::mpsc::channel();
    let flusher = std::thread::Builder::new().name("flame-flush".to_owned()).spawn(move || {
        // The process exits next, so a failed write can't be reported.
        let _ = std::io::stdout().flush();
        let _ = std::io::stderr().flush();
        let _ = done.send(());
    });
    if flusher.is_ok() {
        let _ = flushed.recv_timeout(FLUSH_LIMIT);
    }
}
