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
use flame_wire::failure::CallFailure;
use flame_wire::frame::StreamId;
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::{MAX_AHEAD, ParentToRunner, Tag};
use flame_wire::mux::Message;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tracing::Instrument;

use crate::calling::{Arguments, CallScope, CodecError, EncodedReply, Invocation, Invoked, table};
use crate::context::CallContext;
use crate::holds::Holds;
use crate::panics::{self, PanicScope};
use crate::pump::pump_tail;
use crate::tails::Tails;
use crate::terminator::Event;

/// What all calls of a runner share.
pub(crate) struct Calls {
    runner: RunnerRef,
    max_depth: u8,
    events: mpsc::UnboundedSender<Event>,
    refusing: AtomicBool,
    done: AtomicU64,
    holds: Arc<Holds>,
    tails: Tails,
    /// Calls that have no answer yet, to end them from outside: the shutdown window is over.
    unanswered: Mutex<HashMap<StreamId, Arc<Notify>>>,
    /// Functions that run.
    functions: AtomicUsize,
    /// A call was answered, or a function has ended.
    ended: Notify,
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
            done: AtomicU64::new(0),
            holds: Arc::default(),
            tails: Tails::default(),
            unanswered: Mutex::default(),
            functions: AtomicUsize::new(0),
            ended: Notify::new(),
        })
    }

    /// New calls are answered with [`CallFailure::Draining`] from now on.
    pub(crate) fn refuse_new(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }

    /// Ends the calls that still run.
    pub(crate) fn abort_all(&self) {
        self.unanswered().values().for_each(|call| call.notify_one());
    }

    /// What functions have sent on channels, and is not delivered yet.
    pub(crate) fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Calls that have ended so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Functions that run. A plain one does also when its call has long been given up.
    pub(crate) fn functions(&self) -> usize {
        self.functions.load(Ordering::Acquire)
    }

    /// Waits until each call has been answered, as far as it can be: also where its function goes
    /// on. Cancel-safe.
    pub(crate) async fn answered(&self) {
        self.until(|| self.unanswered().is_empty()).await;
    }

    /// Waits until no function runs. Cancel-safe.
    pub(crate) async fn settled(&self) {
        self.until(|| self.functions() == 0).await;
    }

    async fn until(&self, so: impl Fn() -> bool) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if so() {
                return;
            }
            ended.await;
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Notify>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        // The runner's loop is gone only after it has ended everything.
        let _ = self.events.send(event);
    }
}

/// The runner's ear on the link.
pub(crate) struct Ear(pub(crate) Arc<Calls>);

impl Handler for Ear {
    fn on_stream_opened(&mut self, stream: Stream, first: Message) {
        if let Err((stream, failure)) = accept(&self.0, stream, first) {
            fail(&stream, &failure, Last::This);
        }
    }

    fn on_control(&mut self, message: Message) {
        match ParentToRunner::decode(&message.body) {
            Ok(ParentToRunner::Drain { within_ms }) => {
                let within = Duration::from_millis(within_ms);
                self.0.tell(Event::DrainRequested { within: Some(within) });
            }
            Ok(ParentToRunner::StayUp { again_in_ms }) => {
                let again_in = again_in_ms.map(Duration::from_millis);
                self.0.tell(Event::StayUp { again_in });
            }
            Ok(_) => tracing::warn!("the parent said something that this version does not know"),
            Err(error) => tracing::warn!(%error, "the parent said something unreadable"),
        }
    }

    fn on_connected(&mut self) {
        self.0.tell(Event::Connected);
    }

    fn on_disconnected(&mut self) {
        self.0.tell(Event::Disconnected);
    }
}

/// Checks a call and starts its task; nothing of the app runs before that.
fn accept(calls: &Arc<Calls>, stream: Stream, first: Message) -> Result<(), (Stream, CallFailure)> {
    if first.tag != u8::from(Tag::Call) {
        let what = format!("a stream began with message {} instead of a call", first.tag);
        return Err((stream, CallFailure::Codec { what }));
    }
    if calls.refusing.load(Ordering::Relaxed) {
        return Err((stream, CallFailure::Draining));
    }
    let mut body = first.body;
    let header = match CallHeader::decode(&mut body) {
        Ok(header) => header,
        Err(error) => return Err((stream, CallFailure::Codec { what: error.to_string() })),
    };
    if is_too_deep(header.depth, calls.max_depth) {
        return Err((stream, CallFailure::DepthExceeded { limit: calls.max_depth }));
    }
    let Some(entry) = table::find(header.function) else {
        let known = u32::try_from(table::table().len()).unwrap_or(u32::MAX);
        return Err((stream, CallFailure::UnknownFunction { id: header.function, known }));
    };
    // Claimed before the next frame is read, so that none of the channels' messages is missed.
    let link = stream.link();
    let channels = header.channels.iter().map(|id| link.claim(StreamId(*id))).collect();
    let call = Call::new(calls.clone(), stream, &header);
    tokio::spawn(call.run(entry, header, body, channels));
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
struct Alive {
    calls: Arc<Calls>,
    stream: Arc<Stream>,
    context: CallContext,
    panics: Arc<PanicScope>,
    span: tracing::Span,
    /// The caller has its failure, and the stream is still to end.
    failed: AtomicBool,
}

impl Alive {
    /// Tells the caller at once, and ends the stream unless the function still runs.
    fn fail(self: Arc<Self>, failure: &CallFailure) {
        // Whoever else holds this is the function, on its blocking thread.
        let runs = Arc::strong_count(&self) > 1;
        self.failed.store(runs, Ordering::Release);
        let last = if runs { Last::Later } else { Last::This };
        fail(&self.stream, failure, last);
    }
}

impl CallScope for Alive {
    fn enter(&self, function: &mut dyn FnMut()) {
        let within = || self.span.in_scope(|| self.panics.enter(function));
        self.context.around_blocking(within);
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if *self.failed.get_mut() {
            // The last word on a stream to which nobody listens any more.
            let _ = self.stream.send_now(Tag::Done.into(), Bytes::new().into(), true);
        }
        self.calls.functions.fetch_sub(1, Ordering::Release);
        self.calls.ended.notify_waiters();
        self.calls.done.fetch_add(1, Ordering::Relaxed);
        self.calls.tell(Event::CallEnded);
    }
}

/// Lives as long as a call's task.
struct Unanswered {
    calls: Arc<Calls>,
    stream: StreamId,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.calls.unanswered().remove(&self.stream);
        self.calls.ended.notify_waiters();
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
        calls.tell(Event::CallStarted);
        Self { calls, stream: Arc::new(stream), context, panics: Arc::default(), abort }
    }

    async fn run(
        self,
        entry: &'static table::Entry,
        header: CallHeader,
        body: Bytes,
        channels: Vec<Option<Stream>>,
    ) {
        let (call, trace) = (self.context.call, header.trace.map(tracing::field::display));
        let function = entry.name;
        let span = tracing::debug_span!("flame.serve", function, %call, traceparent = trace);
        let _unanswered = Unanswered { calls: self.calls.clone(), stream: self.stream.id() };
        self.calls.functions.fetch_add(1, Ordering::Relaxed);
        let alive = Arc::new(Alive {
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
        // `alive` stays until the answer is out: a runner that goes after it must not be faster.
        let serve = self.serve(entry, body, channels, alive.clone()).instrument(span);
        match serve.await {
            Ok(()) | Err(Stop::Cancelled) => {}
            Err(Stop::Failed(failure)) => alive.fail(&failure),
            Err(Stop::Cut(failure)) => fail(&alive.stream, &failure, Last::Ahead),
        }
    }

    async fn serve(
        self,
        entry: &'static table::Entry,
        body: Bytes,
        channels: Vec<Option<Stream>>,
        alive: Arc<dyn CallScope>,
    ) -> Result<(), Stop> {
        let value = Value::decode(body).map_err(unreadable)?;
        let mut arguments = Arguments::new(value);
        arguments.channels = channels.len();
        arguments.held = Some(self.calls.holds.clone());
        arguments.scope = Some(alive);
        let invocation = panics::catch_blocking(|| entry.invoke(arguments))?;
        let Invocation { invoked, ends, .. } = invocation.map_err(CallFailure::from)?;
        for (end, stream) in ends.into_iter().zip(channels) {
            if let (Some(end), Some(stream)) = (end, stream) {
                tokio::spawn(pump_tail(end, stream, self.calls.tails.tail()));
            }
        }
        match invoked {
            Invoked::One(function) => {
                let reply = self.guard(function).await?.map_err(unreadable)?;
                self.answer(reply).await
            }
            Invoked::Many(items) => self.stream(items).await,
        }
    }

    /// Runs a part of the function until it is done, or is to be stopped.
    async fn guard<F: Future>(&self, part: F) -> Result<F::Output, Stop> {
        tokio::select! {
            biased;
            output = self.context.around(self.panics.catch(part)) => Ok(output?),
            stop = self.stopped() => Err(stop),
        }
    }

    /// Waits until the function is to be stopped.
    async fn stopped(&self) -> Stop {
        let deadline = self.context.deadline.map(Instant::from_std);
        let expired = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stream.reset_by_peer() => Stop::Cancelled,
            () = expired => Stop::Failed(CallFailure::DeadlinePassed),
            () = self.abort.notified() => Stop::Failed(CallFailure::Cancelled),
        }
    }

    async fn answer(&self, reply: EncodedReply) -> Result<(), Stop> {
        let EncodedReply { body, held, .. } = reply;
        let payload = body.into_parts().into();
        if held.is_empty() {
            send(&self.stream, Tag::Result, payload, true)?;
            self.stream.keep_on_drop();
            return Ok(());
        }
        self.calls.holds.add(self.stream.id().0, held);
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
    ) -> Result<(), Stop> {
        self.stream.set_message_limit(MAX_AHEAD);
        let stopped = self.stopped();
        tokio::pin!(stopped);
        let ended = loop {
            let next = async {
                self.stream.writable().await.map_err(|_| Stop::Cancelled)?;
                Ok(self.context.around(self.panics.catch(items.next())).await?)
            };
            // Asked first: a stream that is always ready must end, too, and so must one whose
            // reader has gone to sleep. What it has made and could not send does not hold it up.
            let next = tokio::select! {
                biased;
                stop = &mut stopped => Err(stop.cut()),
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
        let ended = match ended.and(dropped.map_err(Stop::Failed)) {
            Err(stop @ (Stop::Cancelled | Stop::Cut(_))) => Err(stop),
            // Nor is the last word to wait for a reader for longer than there is time.
            ended => tokio::select! {
                biased;
                stop = &mut stopped => Err(stop.cut()),
                covered = self.stream.within_credit() => covered.map_err(|_| Stop::Cancelled).and(ended),
            },
        };
        ended?;
        send(&self.stream, Tag::Done, Bytes::new().into(), true)?;
        self.stream.keep_on_drop();
        Ok(())
    }

    fn release(&self) {
        let values = self.calls.holds.remove(self.stream.id().0);
        if let Err(failure) = panics::catch_blocking(|| drop(values)) {
            tracing::warn!(%failure, "a held value panicked when it was dropped");
        }
    }
}

/// Why a function's result is not wanted, or can't be given.
enum Stop {
    Cancelled,
    Failed(CallFailure),
    /// As `Failed`, ahead of the items that wait to be sent.
    Cut(CallFailure),
}

impl Stop {
    fn cut(self) -> Self {
        match self {
            Stop::Failed(failure) => Stop::Cut(failure),
            stop => stop,
        }
    }
}

impl From<CallFailure> for Stop {
    fn from(failure: CallFailure) -> Self {
        Stop::Failed(failure)
    }
}

fn unreadable(error: impl std::error::Error) -> Stop {
    use std::fmt::Write as _;
    let mut what = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(what, ": {error}");
        source = error.source();
    }
    Stop::Failed(CallFailure::Codec { what })
}

fn send(
    stream: &Stream,
    tag: Tag,
    payload: flame_wire::mux::Payload,
    end: bool,
) -> Result<(), Stop> {
    use flame_link::StreamError;
    use flame_wire::mux::SendError;
    stream.send_now(tag.into(), payload, end).map_err(|error| match error {
        StreamError::Send(SendError::TooLarge { size, limit }) => {
            Stop::Failed(CallFailure::TooLarge { size, limit })
        }
        _ => Stop::Cancelled,
    })
}

/// Which message is the last of a stream whose call has failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The failure.
    This,
    /// The failure, in place of all that waits to be sent.
    Ahead,
    /// One that is sent when the function has ended.
    Later,
}

fn fail(stream: &Stream, failure: &CallFailure, last: Last) {
    match failure.encode() {
        Ok(body) => {
            let (tag, body) = (Tag::Failed.into(), body.into());
            // Who gave the stream up, or is gone, needs no telling.
            let _ = match last {
                Last::Ahead => stream.conclude(tag, body),
                Last::This | Last::Later => stream.send_now(tag, body, last == Last::This),
            };
            stream.keep_on_drop();
        }
        Err(error) => tracing::error!(%error, "a failure can't be told to the parent"),
    }
}

#[cfg(test)]
mod tests;
