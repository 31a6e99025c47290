//! How a backend fails, and how an instance dies.

use std::fmt;

/// Why a backend could not start, or could not stop an instance.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct BackendError {
    /// What went wrong, and how to fix it.
    pub message: String,
}

impl BackendError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Why an instance did not become a runner, with everything that its backend knows about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BootFailure {
    /// The kind of failure, for code to match on.
    pub kind: BootFailureKind,
    /// What happened, for people.
    pub reason: String,
    /// The platform's own explanation, such as the `stoppedReason` of an ECS task.
    pub stopped_reason: Option<String>,
    /// The instance's exit code.
    pub exit_code: Option<i32>,
    /// The last lines that the instance printed, oldest first.
    pub log_tail: Vec<String>,
}

impl BootFailure {
    /// A failure of kind [`Other`](BootFailureKind::Other) with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self::of(BootFailureKind::Other, reason)
    }

    /// A failure of this kind with this reason.
    pub fn of(kind: BootFailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), ..Self::default() }
    }
}

impl fmt::Display for BootFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        summarize(f, &self.reason, self.exit_code, self.stopped_reason.as_deref())?;
        if !self.log_tail.is_empty() {
            write!(f, "; its last output:\n  {}", self.log_tail.join("\n  "))?;
        }
        Ok(())
    }
}

impl std::error::Error for BootFailure {}

/// The kind of a [`BootFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BootFailureKind {
    /// The platform limits the rate of requests, and still did when the boot ran out of time.
    Throttled,
    /// The platform has no capacity of the requested type at the moment.
    Capacity,
    /// The account has reached one of its quotas, or a limit that was set for it.
    Quota,
    /// The platform could not be reached, or answered with an internal error, on every attempt.
    Unavailable,
    /// The platform rejects the request as it stands: a setting is wrong, a permission is missing,
    /// or a program or an image does not exist.
    Misconfigured,
    /// The instance died before its runner connected.
    Died,
    /// The boot timeout passed before the runner connected.
    TimedOut,
    /// The runner connected, and the pool rejected it, for example because it is of another build.
    Rejected,
    /// None of these.
    #[default]
    Other,
}

/// How an instance died.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// The kind of boot failure that this is, if the runner had not connected yet. Default:
    /// [`Died`](BootFailureKind::Died).
    pub kind: BootFailureKind,
    /// What happened, for people.
    pub reason: String,
    /// The platform's own explanation, such as the `stoppedReason` of an ECS task.
    pub stopped_reason: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The last lines that the instance printed, oldest first.
    pub log_tail: Vec<String>,
}

impl Death {
    /// A death of which only the reason is known.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            kind: BootFailureKind::Died,
            reason: reason.into(),
            stopped_reason: None,
            exit_code: None,
            log_tail: Vec::new(),
        }
    }
}

/// One line: the reason, the exit code and the platform's explanation, without the log.
impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        summarize(f, &self.reason, self.exit_code, self.stopped_reason.as_deref())
    }
}

impl From<Death> for BootFailure {
    fn from(death: Death) -> Self {
        let Death { kind, reason, stopped_reason, exit_code, log_tail } = death;
        BootFailure { kind, reason, stopped_reason, exit_code, log_tail }
    }
}

/// What an error of a platform means.
#[cfg(any(feature = "docker", feature = "fly"))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    /// The kind of a boot that has failed with it.
    pub(super) kind: BootFailureKind,
    /// What a person can do about it.
    pub(super) advice: &'static str,
}

#[cfg(any(feature = "docker", feature = "fly"))]
impl Meaning {
    /// The failure of a boot, in which this step has failed with this error.
    pub(super) fn boot_failure(self, step: &str, error: &impl fmt::Display) -> BootFailure {
        BootFailure::of(self.kind, self.text(step, error))
    }

    /// The failure of another step.
    pub(super) fn backend_error(self, step: &str, error: &impl fmt::Display) -> BackendError {
        BackendError::new(self.text(step, error))
    }

    fn text(self, step: &str, error: &impl fmt::Display) -> String {
        format!("{step} failed: {error}; {}", self.advice)
    }
}

/// The meaning of a runner's exit code, if only runners use this code, or if it is that of SIGTERM.
#[cfg(any(feature = "docker", feature = "ecs", feature = "fly"))]
pub(super) fn runner_exit(code: i32) -> Option<&'static str> {
    Some(match code {
        82 => "it lost its parent for longer than `reconnect_timeout`",
        83 => "its shutdown window ended, and its remaining calls were aborted",
        84 => "its parent rejected it; the runner's log says why",
        85 => "it could not become its parent's executable; the runner's log says why",
        143 => "it exited at once after SIGTERM (exit code 143)",
        _ => return None,
    })
}

/// Why an instance has exited, as far as that is the same on all platforms.
#[cfg(any(feature = "docker", feature = "fly"))]
pub(super) fn exit_reason(code: i32, oom_killed: bool) -> String {
    const OUT_OF_MEMORY: &str = "raise `memory`, or lower `max_concurrency`";
    match code {
        _ if oom_killed => {
            format!("the kernel killed it because it was out of memory; {OUT_OF_MEMORY}")
        }
        // Not every platform reports that the kernel was out of memory.
        137 => format!(
            "it was killed with SIGKILL; unless somebody killed it, it ran out of memory: \
             {OUT_OF_MEMORY}"
        ),
        code => runner_exit(code)
            .map_or_else(|| format!("its process exited with code {code}"), str::to_owned),
    }
}

fn summarize(
    f: &mut fmt::Formatter<'_>,
    reason: &str,
    exit_code: Option<i32>,
    stopped_reason: Option<&str>,
) -> fmt::Result {
    f.write_str(reason)?;
    if let Some(code) = exit_code {
        write!(f, " (exit code {code})")?;
    }
    if let Some(stopped) = stopped_reason {
        write!(f, "; {stopped}")?;
    }
    Ok(())
}
