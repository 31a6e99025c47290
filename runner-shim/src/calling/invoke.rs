//! Runs a function of the table on the runner.
//!
//! ```text
//!   Arguments --FunctionEntry::invoke--> PreparedCall { execution, channel_ends }
//!       decode, at once                      |
//!                                            | polled by the runner
//!                                            v
//!                                         EncodedReply: once (Future), or once per item (Stream)
//! ```
//!
//! Invariants:
//! - The arguments are decoded before the function runs. The reply is encoded in the poll in which
//!   the function ends, on the same thread.
//! - A panic of the function reaches the code that polls, even if it happens on a blocking thread.
//! - The [`CallScope`] lives as long as any part of the function is running. If none is running, it
//!   is dropped with the [`Execution`].

use std::sync::Arc;

use flame_wire::body::{Body, Value};
use flame_wire::sync::Mutex;
use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use futures_util::{FutureExt, StreamExt, stream};

use super::{
    blob::BlobTable,
    channel::{ChannelEnd, ChannelTable},
    codec::{Codec, CodecError, decoder::Decoder, encoder::Encoder},
    held::{HeldStore, HeldTable, HeldValue},
    side_tables::SideTables,
};

/// A call as it arrives on the runner.
#[non_exhaustive]
pub struct Arguments {
    /// The encoded arguments.
    pub value: Value,
    /// The number of channel ends that the call declares. Each has a stream of the link.
    pub channels: usize,
    /// Finds held values. Without it, no argument can be a held value.
    pub held: Option<Arc<dyn HeldStore>>,
    /// Wraps the function while it runs.
    pub scope: Option<Arc<dyn CallScope>>,
}

impl Arguments {
    /// Arguments without channels, held values or a scope.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self { value, channels: 0, held: None, scope: None }
    }
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arguments")
            .field("bytes", &self.value.bytes.len())
            .field("blobs", &self.value.blobs.len())
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// Wraps a function while it runs. The scope is dropped when the function has really ended. It
/// outlives a dropped future whose plain function is still running on a blocking thread, which
/// nothing can stop.
pub trait CallScope: Send + Sync + 'static {
    /// Runs `function`, a plain function on its blocking thread, exactly once. The scope may set
    /// thread-locals around it. (The runner polls async functions itself, and sets theirs.)
    fn enter(&self, function: &mut dyn FnMut()) {
        function();
    }
}

/// A call that is ready to run.
#[non_exhaustive]
pub struct PreparedCall {
    /// The function, not started yet.
    pub execution: Execution,
    /// The byte side of each channel end among the arguments, in the order in which the call
    /// declares them; `None` for one that no argument claimed.
    pub channel_ends: Vec<Option<ChannelEnd>>,
}

impl std::fmt::Debug for PreparedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let execution = match self.execution {
            Execution::Future(_) => "Future",
            Execution::Stream(_) => "Stream",
        };
        f.debug_struct("PreparedCall")
            .field("execution", &execution)
            .field("channel_ends", &self.channel_ends)
            .finish()
    }
}

/// A function that has not started. Dropping it cancels it: an async function stops at its current
/// await; a plain function that is running runs to its end, and its result is dropped; a plain
/// function that is waiting for a thread does not run.
pub enum Execution {
    /// Produces one result.
    Future(BoxFuture<'static, Result<EncodedReply, CodecError>>),
    /// Produces items until it ends.
    Stream(BoxStream<'static, Result<EncodedReply, CodecError>>),
}

/// A result, or one item of a stream, ready to be sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedReply {
    /// The encoded value.
    pub body: Body,
    /// The values to keep until the parent drops its handles. A value's index is part of its id. An
    /// item has none.
    pub held: Vec<HeldValue>,
}

/// Decodes the arguments and prepares the function. The body of every
/// [`FunctionEntry`](super::FunctionEntry).
#[doc(hidden)]
pub fn invoke<A>(
    arguments: Arguments,
    decode: fn(&mut Decoder<'_>) -> Result<A, CodecError>,
    run: fn(A, Scope) -> Execution,
) -> Result<PreparedCall, CodecError> {
    let Arguments { value, channels, held, scope } = arguments;
    let mut tables = SideTables {
        blobs: BlobTable::In(value.blobs),
        channel_ends: ChannelTable::expect(channels),
        held: HeldTable::ArgumentsIn(held),
    };
    let decoded = tables.scope(|| {
        let mut decoder = Decoder::new(&value.bytes);
        let decoded = decode(&mut decoder)?;
        decoder.finish()?;
        Ok::<_, CodecError>(decoded)
    })?;
    let execution = run(decoded, scope);
    Ok(PreparedCall { execution, channel_ends: tables.channel_ends.into_slots() })
}

type Scope = Option<Arc<dyn CallScope>>;

/// The execution of an async function. The future is boxed, so that the code from here on is
/// compiled once for each type of result, not for each function.
#[doc(hidden)]
#[must_use]
pub fn future_execution<T: 'static>(
    function: BoxFuture<'static, T>,
    codec: Codec<T>,
    scope: Scope,
) -> Execution {
    // `map` instead of an async block, which would contain the function's future twice.
    Execution::Future(
        function
            .map(move |result| {
                let reply = encode_reply(codec, result, HeldTable::ResultOut(Vec::new()));
                drop(scope);
                reply
            })
            .boxed(),
    )
}

/// The execution of a plain function on a blocking thread. Boxed for the same reason.
#[doc(hidden)]
#[must_use]
pub fn blocking_execution<T: Send + 'static>(
    function: Box<dyn FnOnce() -> T + Send>,
    codec: Codec<T>,
    scope: Scope,
) -> Execution {
    // Encoding may take long too, so it also runs on the blocking thread.
    let function = move || encode_reply(codec, function(), HeldTable::ResultOut(Vec::new()));
    Execution::Future(blocking_in_scope(function, scope).boxed())
}

/// The execution of a stream. The first poll calls `make`, so that all of the function's code runs
/// there.
#[doc(hidden)]
pub fn stream_execution<T: 'static, S: Stream<Item = T> + Send + 'static>(
    make: impl FnOnce() -> S + Send + 'static,
    codec: Codec<T>,
    scope: Scope,
) -> Execution {
    let replies = stream::once(async { make() }).flatten().map(move |item| {
        let _alive = &scope;
        encode_reply(codec, item, HeldTable::ItemOut)
    });
    Execution::Stream(replies.boxed())
}

fn encode_reply<T>(codec: Codec<T>, value: T, held: HeldTable) -> Result<EncodedReply, CodecError> {
    let mut tables =
        SideTables { blobs: BlobTable::Out(Vec::new()), channel_ends: ChannelTable::None, held };
    let mut encoder = Encoder::default();
    tables.scope(|| codec.encode(value, &mut encoder))?;
    let body = encoder.finish(tables.blobs.into_collected())?;
    Ok(EncodedReply { body, held: tables.held.into_values() })
}

/// Runs a plain function on a blocking thread of the runtime, within the caller's span.
///
/// A panic of the function is resumed here. Needs a tokio runtime.
#[doc(hidden)]
#[must_use]
pub fn blocking<T: Send + 'static>(
    function: Box<dyn FnOnce() -> T + Send>,
) -> BoxFuture<'static, T> {
    blocking_in_scope(function, None).boxed()
}

/// The function's result comes back through a slot of its own. So the code that runs the function,
/// tokio's task above all, is compiled once, and not for each function.
async fn blocking_in_scope<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
    scope: Scope,
) -> T {
    let slot = Arc::new(Mutex::new(None));
    let result = slot.clone();
    let function = Box::new(move || {
        let value = function();
        *result.lock() = Some(value);
    });
    run_on_blocking_thread(function, scope).await;
    match take(&slot) {
        Some(value) => value,
        // The runtime is shutting down and did not start the function, or the scope did not run it:
        // there is no result, and nobody will poll again.
        None => std::future::pending().await,
    }
}

type BoxedFunction = Box<dyn FnOnce() + Send>;

/// Returns when `function` has run, or will not run.
async fn run_on_blocking_thread(function: BoxedFunction, scope: Scope) {
    let span = tracing::Span::current();
    let queued = QueuedFunction::new(Box::new(move || {
        let mut function = Some(function);
        let mut run = || {
            if let Some(function) = function.take() {
                span.in_scope(function);
            }
        };
        match &scope {
            Some(scope) => scope.enter(&mut run),
            None => run(),
        }
    }));
    let begin = queued.begin();
    let thread = tokio::task::spawn_blocking(move || {
        if let Some(function) = begin() {
            function();
        }
    });
    if let Err(Ok(panic)) = thread.await.map_err(tokio::task::JoinError::try_into_panic) {
        std::panic::resume_unwind(panic);
    }
}

/// A function that waits for its thread. A runtime has a limited number of them (tokio's default is
/// 512), and a task that was spawned for a thread can't be taken back. Dropping this takes the
/// function out of that task.
struct QueuedFunction(Arc<Mutex<Option<BoxedFunction>>>);

impl QueuedFunction {
    fn new(function: BoxedFunction) -> Self {
        Self(Arc::new(Mutex::new(Some(function))))
    }

    /// Gives the function to its thread, unless it was dropped.
    fn begin(&self) -> impl FnOnce() -> Option<BoxedFunction> + use<> {
        let function = self.0.clone();
        move || take(&function)
    }
}

impl Drop for QueuedFunction {
    fn drop(&mut self) {
        // Dropped without the lock, because its captured values are the app's.
        drop(take(&self.0));
    }
}

fn take<F>(function: &Mutex<Option<F>>) -> Option<F> {
    function.lock().take()
}
