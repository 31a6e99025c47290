//! The log of this process as a runner.

use std::sync::LazyLock;

use flame_runner_shim::log::{self, LogSink};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// The destination of this process's events while it is a runner. Each runner attaches itself.
pub(super) fn sink() -> LogSink {
    static SINK: LazyLock<LogSink> = LazyLock::new(LogSink::default);
    SINK.clone()
}

/// A layer for a subscriber of the app: it sends a runner's events to its parent, which logs them
/// with the pool, the runner and the call. `FLAME_LOG` sets its level. In a parent it does nothing.
///
/// An app that sets no subscriber does not need it. With a subscriber and without this layer, the
/// parent sees of a runner's events only what the subscriber prints. With this layer, let the
/// subscriber print only in a parent ([`is_runner`](crate::is_runner())), or each event of a runner
/// appears twice.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// # fn main() {
/// let subscriber = tracing_subscriber::registry().with(flame_aws::runner_log());
/// # drop(subscriber);
/// # }
/// ```
pub fn runner_log<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    log::layer(sink())
}
