//! The stream behind a result with held values.

use std::any::Any;
use std::sync::Arc;

use flame_link::{Link, Stream};
use flame_runner_shim::calling::{HeldGuard, HeldSource};
use flame_wire::ids::RunnerRef;

/// The stream of a call whose result has held values. While it is open, the runner keeps the
/// values, and the call keeps its slot.
pub(super) struct HeldStream {
    stream: Stream,
    runner: RunnerRef,
}

impl HeldStream {
    /// The source that all held values of one result share. The last of them closes the stream.
    pub(super) fn source(stream: Stream, runner: RunnerRef) -> HeldSource {
        HeldSource { stream: stream.id().0, guard: Arc::new(Self { stream, runner }) }
    }

    /// The stream that a guard keeps open; `None` for a guard that no call of a pool has made.
    pub(super) fn of(guard: &dyn HeldGuard) -> Option<&Self> {
        guard.as_any().downcast_ref()
    }

    pub(super) fn link(&self) -> &Link {
        self.stream.link()
    }

    pub(super) fn runner(&self) -> RunnerRef {
        self.runner
    }
}

impl HeldGuard for HeldStream {
    fn runner(&self) -> u64 {
        runner_key(self.runner)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The key by which [`HeldGuard::runner`] tells runners apart, including those of different pools.
pub(super) fn runner_key(runner: RunnerRef) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *runner.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
