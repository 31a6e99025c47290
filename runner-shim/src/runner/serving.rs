//! The calls that a runner serves: each is one task, from the CALL message to the last answer.
//!
//! ```text
//! CALL ──▶ refused: FAILED                    (draining, unknown, too deep, unreadable)
//!      └─▶ task ── runs ──▶ RESULT | ITEM* DONE | FAILED ──▶ stream let go
//!            ├── reset by the parent: the function is dropped where it waits
//!            ├── its deadline passes: the same, and FAILED
//!            └── the shutdown window is over: the same, and FAILED
//! ```
//!
//! Invariant: the stream ends only when the function has really ended, also where it is a plain one
//! on a blocking thread that nothing can stop. The parent keeps the slot until then. A caller need
//! not wait for that: its FAILED goes out at once, and a DONE follows when the function is over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flame_link::{Handler, Stream};
use flame_wire::body::Value;
use flame_wire::call::{CallHeader, is_too_deep};
use flame_wire::failure::Failure;
use flame_wire::frame::StreamId;
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::{MAX_AHEAD, ParentToRunner, Tag};
use flame_wire::mux::Message;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tracing::Instrument;

use super::channel_drain::ChannelDrain;
use super::held_values::HeldValues;
use super::terminator::Event;
use crate::calling::{
    Arguments, CallScope, CodecError, EncodedReply, Execution, PreparedCall, table,
};
use crate::context::CallContext;
use crate::panics::{self, PanicScope};
use crate::pump::pump_draining;

/// What all calls of a runner share.
pub(crate) struct Calls {
    runner: RunnerRef,
    max_depth: u8,
    events: mpsc::UnboundedSender<Event>,
    refusing: AtomicBool,
    calls_done: AtomicU64,
    held_values: Arc<HeldValues>,
    channel_drain: ChannelDrain,
    /// Calls that have no answer yet, to end them from outside: the shutdown window is over.
    unanswered: Mutex<HashMap<StreamId, Arc<Notify>>>,
    /// Functions that run.
    running_functions: AtomicUsize,
    /// A call was answered, or a function has ended.
    progress: Notify,
}

impl Calls {
    pub(crate) fn new(
        runner: RunnerRef,
        max_depth: u8,
        events: mpsc::UnboundedSender<Event>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runner,
            max_depth,
            events,
            refusing: AtomicBool::new(false),
            calls_done: AtomicU64::new(0),
            held_values: Arc::default(),
            channel_drain: ChannelDrain::default(),
            unanswered: Mutex::default(),
            running_functions: AtomicUsize::new(0),
            progress: Notify::new(),
        })
    }

    /// New calls are answered with [`Failure::Draining`] from now on.
    pub(crate) fn refuse_new(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }

    /// Ends the calls that still run.
    pub(crate) fn abort_all(&self) {
        self.unanswered().values().for_each(|call| call.notify_one());
    }

    /// What functions have sent on channels, and is not delivered yet.
    pub(crate) fn channel_drain(&self) -> &ChannelDrain {
        &self.channel_drain
    }

    /// Calls that have ended so far.
    pub(crate) fn calls_done(&self) -> u64 {
        self.calls_done.load(Ordering::Relaxed)
    }

    /// Functions that run. A plain one does also when its call has long been given up.
    pub(crate) fn running_functions(&self) -> usize {
        self.running_functions.load(Ordering::Acquire)
    }

    /// Waits until each call has been answered, as far as it can be: also where its function goes
    /// on. Cancel-safe.
    pub(crate) async fn all_answered(&self) {
        self.wait_until(|| self.unanswered().is_empty()).await;
    }

    /// Waits until no function runs. Cancel-safe.
    pub(crate) async fn all_functions_ended(&self) {
        self.wait_until(|| self.running_functions() == 0).await;
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            let ended = self.progress.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if condition() {
                return;
            }
            ended.await;
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Notify>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_event(&self, event: Event) {
        // The runner's loop is gone only after it has ended everything.
        let _ = self.events.send(event);
    }
}

/// The runner's ear on the link.
pub(crate) struct CallHandler(pub(crate) Arc<Calls>);

impl Handler for CallHandler {
    fn opened(&mut self, stream: Stream, first: Message) {
        if let Err((stream, failure)) = accept_call(&self.0, stream, first) {
            send_failure(&stream, &failure, FailedMessage::EndsStream);
        }
    }

    fn control(&mut self, message: Message) {
        match ParentToRunner::decode(&message.body) {
            Ok(ParentToRunner::Drain { within_ms }) => {
                let within = Duration::from_millis(within_ms);
                self.0.send_event(Event::DrainRequested { within: Some(within) });
            }
            Ok(ParentToRunner::StayUp { again_in_ms }) => {
                let again_in = again_in_ms.map(Duration::from_millis);
                self.0.send_event(Event::StayUp { again_in });
            }
            Ok(_) => tracing::warn!("the parent said something that this version does not know"),
            Err(error) => tracing::warn!(%error, "the parent said something unreadable"),
        }
    }

    fn connected(&mut self, up: bool) {
        self.0.send_event(if up { Event::Connected } else { Event::Disconnected });
    }
}

/// Checks a call and starts its task; nothing of the app runs before that.
fn accept_call(
    calls: &Arc<Calls>,
    stream: Stream,
    first: Message,
) -> Result<(), (Stream, Failure)> {
    if first.tag != u8::from(Tag::Call) {
        let what = format!("a stream began with message {} instead of a call", first.tag);
        return Err((stream, Failure::Codec { what }));
    }
    if calls.refusing.load(Ordering::Relaxed) {
        return Err((stream, Failure::Draining));
    }
    let mut body = first.body;
    let header = match CallHeader::decode(&mut body) {
        Ok(header) => header,
        Err(error) => return Err((stream, Failure::Codec { what: error.to_string() })),
    };
    if is_too_deep(header.depth, calls.max_depth) {
        return Err((stream, Failure::DepthExceeded { limit: calls.max_depth }));
    }
    let Some(function) = table::find(header.function) else {
        let known = u32::try_from(table::table().len()).unwrap_or(u32::MAX);
        return Err((stream, Failure::UnknownFunction { id: header.function, known }));
    };
    // Claimed before the next frame is read, so that none of the channels' messages is missed.
    let link = stream.link();
    let channels = header.channels.iter().map(|id| link.claim(StreamId(*id))).collect();
    let call = Call::new(calls.clone(), stream, &header);
    tokio::spawn(call.run(function, header, body, channels));
    Ok(())
}

/// One call: what its task and its blocking thread share.
struct Call {
    calls: Arc<Calls>,
    stream: Arc<Stream>,
    context: CallContext,
    panics: Arc<PanicScope>,
    abort: Arc<Notify>,
}

/// Lives as long as any part of the function runs.
struct RunningFunction {
    calls: Arc<Calls>,
    stream: Arc<Stream>,
    context: CallContext,
    panics: Arc<PanicScope>,
    span: tracing::Span,
    /// The caller has its failure, and the stream is still to end.
    failed: AtomicBool,
}

impl RunningFunction {
    /// Tells the caller at once, and ends the stream unless the function still runs.
    fn fail(self: Arc<Self>, failure: &Failure) {
        // Whoever else holds this is the function, on its blocking thread.
        let runs = Arc::strong_count(&self) > 1;
        self.failed.store(runs, Ordering::Release);
        let kind = if runs { FailedMessage::BeforeDone } else { FailedMessage::EndsStream };
        send_failure(&self.stream, failure, kind);
    }
}

impl CallScope for RunningFunction {
    fn enter(&self, function: &mut dyn FnMut()) {
        let within = || self.span.in_scope(|| self.panics.enter(function));
        self.context.sync_scope(within);
    }
}

impl Drop for RunningFunction {
    fn drop(&mut self) {
        if *self.failed.get_mut() {
            // The last word on a stream to which nobody listens any more.
            let _ = self.stream.send_now(Tag::Done.into(), Bytes::new().into(), true);
        }
        self.calls.running_functions.fetch_sub(1, Ordering::Release);
        self.calls.progress.notify_waiters();
        self.calls.calls_done.fetch_add(1, Ordering::Relaxed);
        self.calls.send_event(Event::CallEnded);
    }
}

/// Lives as long as a call's task.
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

impl Call {
    fn new(calls: Arc<Calls>, stream: Stream, header: &CallHeader) -> Self {
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

    async fn run(
        self,
        function: &'static table::FunctionEntry,
        header: CallHeader,
        body: Bytes,
        channels: Vec<Option<Stream>>,
    ) {
        let (call, trace) = (self.context.call, header.trace.map(tracing::field::display));
        let name = function.name;
        let span = tracing::debug_span!("flame.serve", function = name, %call, traceparent = trace);
        let _unanswered = UnansweredGuard { calls: self.calls.clone(), stream: self.stream.id() };
        self.calls.running_functions.fetch_add(1, Ordering::Relaxed);
        let running = Arc::new(RunningFunction {
            calls: self.calls.clone(),
            stream: self.stream.clone(),
            context: self.context,
            panics: self.panics.clone(),
            span: span.clone(),
            failed: AtomicBool::new(false),
        });
        if header.ack {
            let _ = self.stream.send_now(Tag::Accepted.into(), Bytes::new().into(), false);
        }
        // `running` stays until the answer is out: a runner that goes after it must not be faster.
        let serve = self.serve(function, body, channels, running.clone()).instrument(span);
        match serve.await {
            Ok(()) | Err(CallStop::Cancelled) => {}
            Err(CallStop::Failed(failure)) => running.fail(&failure),
            Err(CallStop::FailedAtOnce(failure)) => {
                send_failure(&running.stream, &failure, FailedMessage::ReplacesQueue)
            }
        }
    }

    async fn serve(
        self,
        function: &'static table::FunctionEntry,
        body: Bytes,
        channels: Vec<Option<Stream>>,
        running: Arc<dyn CallScope>,
    ) -> Result<(), CallStop> {
        let value = Value::decode(body).map_err(unreadable)?;
        let mut arguments = Arguments::new(value);
        arguments.channels = channels.len();
        arguments.held = Some(self.calls.held_values.clone());
        arguments.scope = Some(running);
        let invocation = panics::catch_blocking(|| function.invoke(arguments))?;
        let PreparedCall { execution, channel_ends, .. } = invocation.map_err(Failure::from)?;
        for (end, stream) in channel_ends.into_iter().zip(channels) {
            if let (Some(end), Some(stream)) = (end, stream) {
                tokio::spawn(pump_draining(end, stream, self.calls.channel_drain.register()));
            }
        }
        match execution {
            Execution::Future(function) => {
                let reply = self.guard(function).await?.map_err(unreadable)?;
                self.answer(reply).await
            }
            Execution::Stream(items) => self.stream(items).await,
        }
    }

    /// Runs a part of the function until it is done, or is to be stopped.
    async fn guard<F: Future>(&self, part: F) -> Result<F::Output, CallStop> {
        tokio::select! {
            biased;
            output = self.context.scope(self.panics.catch(part)) => Ok(output?),
            stop = self.stopped() => Err(stop),
        }
    }

    /// Waits until the function is to be stopped.
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
            () = expired => CallStop::Failed(Failure::DeadlinePassed),
            () = self.abort.notified() => CallStop::Failed(Failure::Cancelled),
        }
    }

    async fn answer(&self, reply: EncodedReply) -> Result<(), CallStop> {
        let EncodedReply { body, held, .. } = reply;
        let payload = body.into_parts().into();
        if held.is_empty() {
            send(&self.stream, Tag::Result, payload, true)?;
            self.stream.linger();
            return Ok(());
        }
        self.calls.held_values.add(self.stream.id().0, held);
        let sent = send(&self.stream, Tag::Result, payload, false);
        // Until the parent has dropped its handles on what this call has given.
        if sent.is_ok() {
            tokio::select! {
                () = self.stream.reset_by_peer() => {}
                () = self.abort.notified() => {}
            }
        }
        self.release();
        sent
    }

    async fn stream(
        &self,
        mut items: BoxStream<'static, Result<EncodedReply, CodecError>>,
    ) -> Result<(), CallStop> {
        self.stream.limit(MAX_AHEAD);
        let stopped = self.stopped();
        tokio::pin!(stopped);
        let ended = loop {
            let next = async {
                self.stream.room().await.map_err(|_| CallStop::Cancelled)?;
                Ok(self.context.scope(self.panics.catch(items.next())).await?)
            };
            // Asked first: a stream that is always ready must end, too, and so must one whose
            // reader has gone to sleep. What it has made and could not send does not hold it up.
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
                Ok(Some(Err(error))) => break Err(unreadable(error)),
                Ok(None) => break Ok(()),
                Err(stop) => break Err(stop),
            }
        };
        // The stream's own destructor may panic, too.
        let dropped = panics::catch_blocking(|| drop(items));
        let ended = match ended.and(dropped.map_err(CallStop::Failed)) {
            Err(stop @ (CallStop::Cancelled | CallStop::FailedAtOnce(_))) => Err(stop),
            // Nor is the last word to wait for a reader for longer than there is time.
            ended => tokio::select! {
                biased;
                stop = &mut stopped => Err(stop.at_once()),
                covered = self.stream.covered() => covered.map_err(|_| CallStop::Cancelled).and(ended),
            },
        };
        ended?;
        send(&self.stream, Tag::Done, Bytes::new().into(), true)?;
        self.stream.linger();
        Ok(())
    }

    fn release(&self) {
        let values = self.calls.held_values.remove(self.stream.id().0);
        if let Err(failure) = panics::catch_blocking(|| drop(values)) {
            tracing::warn!(%failure, "a held value panicked when it was dropped");
        }
    }
}

/// Why a function's result is not wanted, or can't be given.
enum CallStop {
    Cancelled,
    Failed(Failure),
    /// As `Failed`, ahead of the items that wait to be sent.
    FailedAtOnce(Failure),
}

impl CallStop {
    fn at_once(self) -> Self {
        match self {
            CallStop::Failed(failure) => CallStop::FailedAtOnce(failure),
            stop => stop,
        }
    }
}

impl From<Failure> for CallStop {
    fn from(failure: Failure) -> Self {
        CallStop::Failed(failure)
    }
}

fn unreadable(error: impl std::error::Error) -> CallStop {
    use std::fmt::Write as _;
    let mut what = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(what, ": {error}");
        source = error.source();
    }
    CallStop::Failed(Failure::Codec { what })
}

fn send(
    stream: &Stream,
    tag: Tag,
    payload: flame_wire::mux::Payload,
    end: bool,
) -> Result<(), CallStop> {
    use flame_link::StreamError;
    use flame_wire::mux::SendError;
    stream.send_now(tag.into(), payload, end).map_err(|error| match error {
        StreamError::Send(SendError::TooLarge { size, limit }) => {
            CallStop::Failed(Failure::TooLarge { size, limit })
        }
        _ => CallStop::Cancelled,
    })
}

/// Which message is the last of a stream whose call has failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FailedMessage {
    /// The failure.
    EndsStream,
    /// The failure, in place of all that waits to be sent.
    ReplacesQueue,
    /// One that is sent when the function has ended.
    BeforeDone,
}

fn send_failure(stream: &Stream, failure: &Failure, kind: FailedMessage) {
    match failure.encode() {
        Ok(body) => {
            let (tag, body) = (Tag::Failed.into(), body.into());
            // Who gave the stream up, or is gone, needs no telling.
            let _ = match kind {
                FailedMessage::ReplacesQueue => stream.conclude(tag, body),
                FailedMessage::EndsStream | FailedMessage::BeforeDone => {
                    stream.send_now(tag, body, kind == FailedMessage::EndsStream)
                }
            };
            stream.linger();
        }
        Err(error) => tracing::error!(%error, "a failure can't be told to the parent"),
    }
}

#[cfg(test)]
mod tests;
