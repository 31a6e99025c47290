//! One call: its task, its function, and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flame_link::{Stream, StreamError};
use flame_wire::DecodeError;
use flame_wire::body::Value;
use flame_wire::call::CallHeader;
use flame_wire::error::Chain;
use flame_wire::failure::CallFailure;
use flame_wire::frame::StreamId;
use flame_wire::ids::CallId;
use flame_wire::message::{MAX_AHEAD, Tag};
use flame_wire::mux::{Payload, SendError};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Calls, FailedMessage, send_failure};
use crate::calling::{
    Arguments, CallScope, CodecError, EncodedReply, Execution, FunctionEntry, PreparedCall,
};
use crate::context::CallContext;
use crate::otel::Caller;
use crate::panics::{self, PanicScope};
use crate::pump::pump_draining;
use crate::runner::terminator::Event;

/// A call, from its first message to its last.
pub(super) struct Call {
    calls: Arc<Calls>,
    stream: Arc<Stream>,
    context: CallContext,
    panics: Arc<PanicScope>,
    abort: Arc<Notify>,
}

impl Call {
    pub(super) fn new(calls: Arc<Calls>, stream: Stream, header: &CallHeader) -> Self {
        let context = CallContext {
            call: CallId(stream.id().0),
            runner: calls.runner,
            depth: header.depth,
            max_depth: calls.max_depth,
            deadline: header.budget.and_then(|left| Instant::now().into_std().checked_add(left)),
            trace: header.trace,
        };
        let abort = Arc::new(Notify::new());
        calls.unanswered().insert(stream.id(), abort.clone());
        calls.send_event(Event::CallStarted);
        Self { calls, stream: Arc::new(stream), context, panics: Arc::default(), abort }
    }

    pub(super) async fn run(
        self,
        function: &'static FunctionEntry,
        header: CallHeader,
        body: Bytes,
        channels: Vec<Option<Stream>>,
    ) {
        let caller = Caller::new(header.trace);
        let span = caller.attach_sync(|| self.span(function.name));
        let _unanswered = UnansweredGuard { calls: self.calls.clone(), stream: self.stream.id() };
        self.calls.running_functions.fetch_add(1, Ordering::Relaxed);
        let running = Arc::new(RunningFunction {
            calls: self.calls.clone(),
            stream: self.stream.clone(),
            context: self.context,
            panics: self.panics.clone(),
            span: span.clone(),
            caller: caller.clone(),
            failed: AtomicBool::new(false),
        });
        if header.ack {
            let _ = self.stream.send_now(Tag::Accepted.into(), Bytes::new().into(), false);
        }
        // `running` lives until the answer is out: a runner that ends after this call waits for it.
        let serve = self.serve(function, body, channels, running.clone()).instrument(span);
        match caller.attach(serve).await {
            Ok(()) | Err(CallStop::Cancelled) => {}
            Err(CallStop::Failed(failure)) => running.fail(&failure),
            Err(CallStop::FailedAtOnce(failure)) => {
                send_failure(&running.stream, &failure, FailedMessage::ReplacesQueue);
            }
        }
    }

    fn span(&self, function: &'static str) -> tracing::Span {
        let (call, trace) = (self.context.call, self.context.trace.map(tracing::field::display));
        tracing::debug_span!(
            "flame.serve",
            otel.kind = "server",
            function,
            %call,
            traceparent = trace
        )
    }

    async fn serve(
        self,
        function: &'static FunctionEntry,
        body: Bytes,
        channels: Vec<Option<Stream>>,
        scope: Arc<dyn CallScope>,
    ) -> Result<(), CallStop> {
        let mut arguments = Arguments::new(Value::decode(body)?);
        arguments.channels = channels.len();
        arguments.held = Some(self.calls.held_values.clone());
        arguments.scope = Some(scope);
        let prepared = panics::catch_blocking(|| function.invoke(arguments))?;
        let PreparedCall { execution, channel_ends, .. } = prepared?;
        for (end, stream) in channel_ends.into_iter().zip(channels) {
            if let (Some(end), Some(stream)) = (end, stream) {
                tokio::spawn(pump_draining(end, stream, self.calls.channel_drain.register()));
            }
        }
        match execution {
            Execution::Future(function) => {
                let reply = self.until_stopped(function).await??;
                self.send_result(reply).await
            }
            Execution::Stream(items) => self.send_items(items).await,
        }
    }

    /// Runs the function until it ends or has to be stopped.
    async fn until_stopped<F: Future>(&self, function: F) -> Result<F::Output, CallStop> {
        tokio::select! {
            biased;
            output = self.context.scope(self.panics.catch(function)) => Ok(output?),
            stop = self.stopped() => Err(stop),
        }
    }

    /// Waits until the function has to be stopped.
    async fn stopped(&self) -> CallStop {
        let deadline = self.context.deadline.map(Instant::from_std);
        let expired = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stream.reset_by_peer() => CallStop::Cancelled,
            () = expired => CallStop::Failed(CallFailure::DeadlinePassed),
            () = self.abort.notified() => CallStop::Failed(CallFailure::Cancelled),
        }
    }

    async fn send_result(&self, reply: EncodedReply) -> Result<(), CallStop> {
        let EncodedReply { body, held, .. } = reply;
        let payload = body.into_parts().into();
        if held.is_empty() {
            send(&self.stream, Tag::Result, payload, true)?;
            self.stream.keep_on_drop();
            return Ok(());
        }
        self.calls.held_values.add(self.stream.id().0, held);
        let sent = send(&self.stream, Tag::Result, payload, false);
        // Waits until the parent has dropped its handles of the values in this result.
        if sent.is_ok() {
            tokio::select! {
                () = self.stream.reset_by_peer() => {}
                () = self.abort.notified() => {}
            }
        }
        self.drop_held_values();
        sent
    }

    async fn send_items(
        &self,
        mut items: BoxStream<'static, Result<EncodedReply, CodecError>>,
    ) -> Result<(), CallStop> {
        self.stream.set_message_limit(MAX_AHEAD);
        let stopped = self.stopped();
        tokio::pin!(stopped);
        let ended = loop {
            let next = async {
                self.stream.writable().await.map_err(|_| CallStop::Cancelled)?;
                Ok(self.context.scope(self.panics.catch(items.next())).await?)
            };
            // `stopped` comes first, so that a stream that is always ready can be stopped, too. A
            // reader that does not read can't delay it: the failure replaces the queued items.
            let next = tokio::select! {
                biased;
                stop = &mut stopped => Err(stop.at_once()),
                next = next => next,
            };
            match next {
                Ok(Some(Ok(EncodedReply { body, .. }))) => {
                    let item = body.into_parts().into();
                    if let Err(stop) = send(&self.stream, Tag::Item, item, false) {
                        break Err(stop);
                    }
                }
                Ok(Some(Err(error))) => break Err(error.into()),
                Ok(None) => break Ok(()),
                Err(stop) => break Err(stop),
            }
        };
        // The destructor of the app's stream may panic, too.
        let dropped = panics::catch_blocking(|| drop(items));
        let ended = match ended.and(dropped.map_err(CallStop::Failed)) {
            Err(stop @ (CallStop::Cancelled | CallStop::FailedAtOnce(_))) => Err(stop),
            // The last message waits for the reader, but not beyond the deadline.
            ended => tokio::select! {
                biased;
                stop = &mut stopped => Err(stop.at_once()),
                covered = self.stream.within_credit() => covered.map_err(|_| CallStop::Cancelled).and(ended),
            },
        };
        ended?;
        send(&self.stream, Tag::Done, Bytes::new().into(), true)?;
        self.stream.keep_on_drop();
        Ok(())
    }

    fn drop_held_values(&self) {
        let values = self.calls.held_values.remove(self.stream.id().0);
        if let Err(failure) = panics::catch_blocking(|| drop(values)) {
            tracing::warn!(%failure, "the destructor of a held value panicked");
        }
    }
}

/// Lives as long as any part of the function is running.
struct RunningFunction {
    calls: Arc<Calls>,
    stream: Arc<Stream>,
    context: CallContext,
    panics: Arc<PanicScope>,
    span: tracing::Span,
    caller: Caller,
    /// FAILED was sent, and the stream still has to end.
    failed: AtomicBool,
}

impl RunningFunction {
    /// Tells the caller at once, and ends the stream unless the function is still running.
    fn fail(self: Arc<Self>, failure: &CallFailure) {
        // Any other reference belongs to the function, on its blocking thread.
        let runs = Arc::strong_count(&self) > 1;
        self.failed.store(runs, Ordering::Release);
        let kind = if runs { FailedMessage::BeforeDone } else { FailedMessage::EndsStream };
        send_failure(&self.stream, failure, kind);
    }
}

impl CallScope for RunningFunction {
    fn enter(&self, function: &mut dyn FnMut()) {
        let within = || self.span.in_scope(|| self.panics.enter(function));
        self.caller.attach_sync(|| self.context.sync_scope(within));
    }
}

impl Drop for RunningFunction {
    fn drop(&mut self) {
        if *self.failed.get_mut() {
            // Ends the stream, and frees the slot. The caller has its answer already.
            let _ = self.stream.send_now(Tag::Done.into(), Bytes::new().into(), true);
        }
        self.calls.running_functions.fetch_sub(1, Ordering::Release);
        self.calls.progress.notify_waiters();
        self.calls.calls_done.fetch_add(1, Ordering::Relaxed);
        self.calls.send_event(Event::CallEnded);
    }
}

/// Keeps a call among the unanswered ones for as long as its task lives.
struct UnansweredGuard {
    calls: Arc<Calls>,
    stream: StreamId,
}

impl Drop for UnansweredGuard {
    fn drop(&mut self) {
        self.calls.unanswered().remove(&self.stream);
        self.calls.progress.notify_waiters();
    }
}

/// Why a call ends without a result.
enum CallStop {
    /// The parent no longer wants the result.
    Cancelled,
    Failed(CallFailure),
    /// The failure replaces the items that are waiting to be sent.
    FailedAtOnce(CallFailure),
}

impl CallStop {
    fn at_once(self) -> Self {
        match self {
            CallStop::Failed(failure) => CallStop::FailedAtOnce(failure),
            stop => stop,
        }
    }
}

impl From<CallFailure> for CallStop {
    fn from(failure: CallFailure) -> Self {
        CallStop::Failed(failure)
    }
}

impl From<CodecError> for CallStop {
    fn from(error: CodecError) -> Self {
        CallStop::Failed(error.into())
    }
}

impl From<DecodeError> for CallStop {
    fn from(error: DecodeError) -> Self {
        CallStop::Failed(CallFailure::Codec { what: Chain(&error).to_string() })
    }
}

fn send(stream: &Stream, tag: Tag, payload: Payload, end: bool) -> Result<(), CallStop> {
    stream.send_now(tag.into(), payload, end).map_err(|error| match error {
        StreamError::Send(SendError::TooLarge { size, limit }) => {
            CallStop::Failed(CallFailure::TooLarge { size, limit })
        }
        _ => CallStop::Cancelled,
    })
}
