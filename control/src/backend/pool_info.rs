//! The information that a backend gets about the pool for which it boots runners.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::ids::RunnerRef;

use crate::size::Size;

/// The pool that a backend boots runners for.
#[derive(Clone)]
#[non_exhaustive]
pub struct PoolInfo {
    /// The pool's name.
    pub name: String,
    /// The addresses at which runners find the pool, the preferred one first: `ws://host:port` or
    /// `wss://host`, with or without a path.
    pub addresses: Vec<String>,
    /// Whether these are the addresses of relays, and not of this process.
    pub has_relay: bool,
    /// How long a boot may take, from requesting an instance until its runner connects.
    pub boot_timeout: Duration,
    /// How long a runner that has lost its connection tries to reconnect before it exits.
    pub reconnect_timeout: Duration,
    /// How long a runner that drains may take to finish its calls.
    pub shutdown_timeout: Duration,
    /// The maximum lifetime of a runner, if it is limited.
    pub max_lifetime: Option<Duration>,
    /// The size of a runner. A backend that can't provide it returns an error that says which size it
    /// can provide.
    pub size: Size,
    /// The arguments, without the program's name, with which a copy of this executable reaches
    /// [`App::run`](crate::App::run): those of this process, or, in a
    /// [`test`](macro@crate::test), those that select the test.
    pub args: Vec<OsString>,
    /// Logs a line that an instance has printed. Never blocks: if the log is full, it drops the
    /// line and later reports how many lines were dropped.
    pub output: Arc<dyn Fn(OutputLine) + Send + Sync>,
    /// Counts an instance of another parent that the backend has stopped because its parent was
    /// gone. Never blocks.
    pub orphan_stopped: Arc<dyn Fn() + Send + Sync>,
    /// Whether the pool logs these lines at all.
    pub(crate) log: bool,
}

impl PoolInfo {
    /// Logs a warning if runners that share this machine can't have their size.
    pub(super) fn warn_of_small_machine(&self) {
        if let Some(excess) = self.size.excess(&Size::of_this_machine()) {
            tracing::warn!(
                pool = self.name,
                "this machine has less than the `size` of one runner ({excess}): its runners share \
                 what there is"
            );
        }
    }
}

impl fmt::Debug for PoolInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolInfo")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// A line that an instance has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLine {
    /// The runner that printed it: [`BootSpec::runner`](super::BootSpec::runner).
    pub runner: RunnerRef,
    /// The stream that it was printed to.
    pub stream: OutputStream,
    /// The line, without its line ending.
    pub line: String,
}

impl OutputLine {
    /// A line that this runner has printed to this stream.
    pub fn new(runner: RunnerRef, stream: OutputStream, line: impl Into<String>) -> Self {
        Self { runner, stream, line: line.into() }
    }
}

/// One of the two streams that a process prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
