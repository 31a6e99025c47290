//! [`Work`]: a call that has not been made yet.
//!
//! ```text
//!              poll                        ready
//!   Pending ----------> Running (here) ------------> its result
//!      |
//!      | encode
//!      v
//!   EncodedWork, for a pool; the work is consumed
//! ```
//!
//! Invariants:
//! - A work that is awaited runs in this process and never serializes.
//! - A work is either encoded or started, never both.
//! - [`EncodedWork`] borrows nothing.

mod encoded;
mod method;
mod options;
mod pending;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use flame_wire::trace::TraceContext;
use futures_core::{Stream, future::BoxFuture, stream::BoxStream};

pub use encoded::{EncodedWork, ReplyDecoder};
#[doc(hidden)]
pub use method::Method;
pub use options::{CallOptions, Timeout};

use super::{
    codec::{Codec, CodecError, encoder::Encoder},
    table::FunctionEntry,
};
use pending::PendingWork;

/// A call of a remote function that has not been made yet.
///
/// Calling a `#[remote]` function returns one. It does nothing until it is
/// - awaited: it runs in this process, as if the function were not remote (a plain function on a
///   blocking thread, which needs a tokio runtime), or
/// - given to a pool: `pool.call(work)` runs it in a copy of the app.
///
/// Options ([`timeout`](Self::timeout), [`detached`](Self::detached), [`trace`](Self::trace)) apply
/// when it is given to a pool. They have no effect when it is awaited.
///
/// Dropping it before either does nothing. Dropping it while it runs here cancels it, like any
/// future.
///
/// ```text
/// let here = thumbnails(video.clone(), 5).await?;
/// let there = pool.try_call(thumbnails(video, 5).timeout(Duration::from_secs(300))).await?;
/// ```
#[must_use = "work does nothing until it is awaited (it then runs here) or given to a pool"]
pub struct Work<'a, T>(PendingWork<'a, T, BoxFuture<'a, T>>);

/// A call of a remote function that returns a stream. It has not been made yet.
///
/// Like [`Work`], for a `#[remote]` function that returns `impl Stream`. It is that stream: polled,
/// it runs in this process. Given to `pool.stream(work)`, it runs in a copy of the app.
#[must_use = "work does nothing until it is polled (it then runs here) or given to a pool"]
pub struct StreamWork<'a, T>(PendingWork<'a, T, BoxStream<'a, T>>);

macro_rules! common {
    ($work:ident) => {
        impl<T> $work<'_, T> {
            /// Module path and name of the function, `app::thumbs::thumbnails`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                self.0.entry().name
            }

            /// Limits the time from giving the call to a pool until its result is here, in place of
            /// the pool's own timeout. `None`: no limit.
            pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
                self.0.options.timeout = timeout.into().map_or(Timeout::Never, Timeout::After);
                self
            }

            /// Lets the call run to its end on its runner even if its caller goes away. Without
            /// this, dropping the call's future cancels the call.
            pub fn detached(mut self) -> Self {
                self.0.options.detached = true;
                self
            }

            /// Makes the call part of this trace. The runner gets it unchanged, in
            /// [`CallContext::trace`](crate::context::CallContext::trace). Without it, a call that
            /// a function makes on its runner belongs to the trace of the call that the function
            /// serves, and any other call begins a trace.
            ///
            /// An app that exports its traces passes the context of its current span.
            pub fn trace(mut self, trace: TraceContext) -> Self {
                self.0.options.trace = Some(trace);
                self
            }

            /// The options set so far.
            #[doc(hidden)]
            #[must_use]
            pub fn options(&self) -> &CallOptions {
                &self.0.options
            }

            /// Encodes the arguments, for the driver of a pool.
            ///
            /// # Errors
            /// If an argument does not encode, if the work has already started to run here, or if
            /// this process lacks a state that the function needs.
            #[doc(hidden)]
            pub fn encode(self) -> Result<(EncodedWork, ReplyDecoder<T>), CodecError> {
                self.0.encode()
            }
        }

        impl<T> fmt::Debug for $work<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($work))
                    .field("name", &self.name())
                    .field("options", self.options())
                    .finish_non_exhaustive()
            }
        }
    };
}

common!(Work);
common!(StreamWork);

impl<T> Future for Work<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.run().as_mut().poll(cx)
    }
}

impl<T> Stream for StreamWork<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.run().as_mut().poll_next(cx)
    }
}

/// The work of an async or plain function. `encode` encodes `args`; `start` runs the function here.
#[doc(hidden)]
pub fn work<'a, T: 'a, A: Send + 'a>(
    entry: &'static FunctionEntry,
    args: A,
    encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
    start: fn(A) -> BoxFuture<'a, T>,
    codec: Codec<T>,
) -> Work<'a, T> {
    Work(PendingWork::new(entry, args, encode, start, codec))
}

/// The work of a function that returns a stream.
#[doc(hidden)]
pub fn stream_work<'a, T: 'a, A: Send + 'a>(
    entry: &'static FunctionEntry,
    args: A,
    encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
    start: fn(A) -> BoxStream<'a, T>,
    codec: Codec<T>,
) -> StreamWork<'a, T> {
    StreamWork(PendingWork::new(entry, args, encode, start, codec))
}

#[doc(hidden)]
pub fn boxed_future<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

#[doc(hidden)]
pub fn boxed_stream<'a, T>(stream: impl Stream<Item = T> + Send + 'a) -> BoxStream<'a, T> {
    Box::pin(stream)
}
