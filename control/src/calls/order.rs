//! A call on its way to a runner: one deadline, one slot, one message.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_link::{Link, Stream, StreamError};
use flame_runner_shim::calling::{CodecError, EncodedWork, HeldGuard, Timeout};
use flame_runner_shim::context::CallContext;
use flame_runner_shim::pump::pump;
use flame_wire::call::{CallHeader, MAX_CHANNELS, is_too_deep};
use flame_wire::failure::Failure;
use flame_wire::ids::RunnerRef;
use flame_wire::message::Tag;
use flame_wire::mux::{Message, Payload, SendError, TooManyStreams};
use flame_wire::trace::TraceContext;
use futures_util::FutureExt;
use tracing::Instrument;

use super::held::{HeldStream, key};
use crate::app;
use crate::error::{CallError, TimeoutPhase};
use crate::pool::Lease;
use crate::pool::driver::{Shared, Wanted, now};
use crate::pool::events::PoolEvent;
use crate::pool::state::{Refusal, WaitPhase};

/// A call that is to be made. Boxed: thousands may wait, each in a future of its own.
pub(super) struct Order(Box<Inner>);

struct Inner {
    pool: Arc<Shared>,
    encoded: Result<EncodedWork, CodecError>,
    after: Option<Duration>,
    wanted: Wanted,
    depth: u8,
    /// The runner must say when it has taken the call.
    ack: bool,
    /// It goes to the runner that holds this.
    at: Option<Arc<dyn HeldGuard>>,
}

/// A call that was sent.
pub(super) struct Sent {
    pool: Arc<Shared>,
    pub(super) stream: Stream,
    pub(super) runner: RunnerRef,
    pub(super) function: &'static str,
    pub(super) after: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    /// The deadline of the work alone.
    pub(super) work_deadline: Option<Instant>,
    span: tracing::Span,
    /// From the sending until the answer is there.
    run: tracing::Span,
    finished: Finished,
}

impl Order {
    /// The deadline of a call runs from here.
    pub(super) fn new(
        pool: &Arc<Shared>,
        mut encoded: Result<EncodedWork, CodecError>,
        default_timeout: Option<Duration>,
    ) -> Self {
        if let Ok(EncodedWork { options, .. }) = &mut encoded {
            options.trace = Some(options.trace.unwrap_or_else(next_span));
        }
        let after = match &encoded {
            Ok(encoded) => encoded.options.timeout.or(default_timeout),
            Err(_) => None,
        };
        Self(Box::new(Inner {
            pool: pool.clone(),
            encoded,
            after,
            wanted: Wanted { deadline: deadline(after), bounded: true },
            depth: app::depth(),
            ack: false,
            at: None,
        }))
    }

    /// The pool's timeout bounds the handing over, not the work: that has what it asked for by itself.
    pub(super) fn without_pool_budget(mut self) -> Self {
        let of_pool = |encoded: &EncodedWork| encoded.options.timeout == Timeout::OfPool;
        self.0.wanted.bounded = !self.0.encoded.as_ref().is_ok_and(of_pool);
        self
    }

    /// The deadline runs from here instead: for work that is made some time before it is sent.
    pub(super) fn timed_from_now(mut self) -> Self {
        self.0.wanted.deadline = deadline(self.0.after);
        self
    }

    pub(super) fn with_ack(mut self) -> Self {
        self.0.ack = true;
        self
    }

    pub(super) fn at(mut self, held: Option<Arc<dyn HeldGuard>>) -> Self {
        self.0.at = held;
        self
    }

    /// Waits for a slot and sends the call. Cancel-safe: dropped, nothing is left of it.
    pub(super) async fn send(self) -> Result<Sent, CallError> {
        let order = self.0;
        let span = order.check()?;
        let place = match &order.at {
            Some(held) => Place::beside(held)?,
            None => {
                let queue = tracing::debug_span!(parent: &span, "flame.queue");
                let waiting = order.pool.check_out(&order.wanted).instrument(queue);
                tokio::pin!(waiting);
                let lease = match waiting.as_mut().now_or_never() {
                    Some(lease) => lease,
                    None => {
                        order.tell_queued();
                        waiting.await
                    }
                };
                Place::on(lease.map_err(|refusal| refused(refusal, order.after))?)
            }
        };
        order.open(place, span)
    }
}

impl Inner {
    /// What would be refused anyway does not wait for a slot first.
    fn check(&self) -> Result<tracing::Span, CallError> {
        let encoded = self.encoded.as_ref().map_err(CodecError::clone)?;
        let limit = self.pool.config.runner.max_depth;
        if is_too_deep(self.depth, limit) {
            return Err(CallError::DepthExceeded { limit });
        }
        if let (Some(limit), Some(_), Some(after)) =
            (self.pool.backend.longest_call(), self.work_deadline(), self.after)
            && after > limit
        {
            return Err(CallError::TooLong { after, limit });
        }
        if encoded.channel_ends.len() > MAX_CHANNELS {
            let what = format!("a call has at most {MAX_CHANNELS} channels");
            return Err(CallError::Codec { what, error: None });
        }
        let (function, pool) = (encoded.name, &self.pool.config.name);
        let trace = encoded.options.trace.map(tracing::field::display);
        Ok(tracing::debug_span!("flame.call", function, pool, traceparent = trace))
    }

    fn tell_queued(&self) {
        if let Ok(EncodedWork { name: function, options, .. }) = &self.encoded
            && let Some(trace) = options.trace
        {
            self.pool.tell(PoolEvent::CallQueued { function, trace });
        }
    }

    /// When the work itself is over at the latest, where that is known.
    fn work_deadline(&self) -> Option<Instant> {
        self.wanted.deadline.filter(|_| self.wanted.bounded)
    }

    /// Sends the call to its place.
    fn open(self: Box<Self>, place: Place, span: tracing::Span) -> Result<Sent, CallError> {
        let work_deadline = self.work_deadline();
        let Inner { pool, encoded, after, wanted: Wanted { deadline, .. }, depth, ack, .. } = *self;
        let EncodedWork { function, name, body, channel_ends, held_guards, options, .. } = encoded?;
        let Place { link, runner, guard } = place;
        if held_guards.iter().any(|held| held.runner() != key(runner)) {
            let what = "an argument is held by another runner: call it by `pool.at(&held)`";
            return Err(CallError::Codec { what: what.to_owned(), error: None });
        }
        let left = work_deadline.map(|by| by.saturating_duration_since(now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(timeout(TimeoutPhase::Queue, after));
        }
        let mut failed = None;
        let opened = link.open(channel_ends.len(), Some(guard), |channels| {
            let header = CallHeader {
                budget: left,
                depth,
                detached: options.detached,
                ack,
                trace: options.trace,
                channels: channels.iter().map(|id| id.0).collect(),
                ..CallHeader::new(function)
            };
            let payload = header.encode(body).map(Payload::from).unwrap_or_else(|error| {
                failed = Some(error);
                Payload::default()
            });
            (Tag::Call.into(), payload, true)
        });
        if let Some(error) = failed {
            return Err(CallError::Codec { what: error.to_string(), error: None });
        }
        let (stream, channels) = opened.map_err(|error| lost(error, false, runner))?;
        for (end, stream) in channel_ends.into_iter().zip(channels) {
            pool.runtime.spawn(pump(end, stream));
        }
        if options.detached {
            linger(&stream);
        }
        let run = tracing::debug_span!(parent: &span, "flame.run", %runner);
        let finished = Finished::begin(&pool, runner, name, options.trace);
        Ok(Sent {
            pool,
            stream,
            runner,
            function: name,
            after,
            deadline,
            work_deadline,
            span,
            run,
            finished,
        })
    }
}

/// Where a call goes.
struct Place {
    link: Link,
    runner: RunnerRef,
    guard: Box<dyn Any + Send>,
}

impl Place {
    fn on(lease: Lease) -> Self {
        let (link, runner) = (lease.link().clone(), lease.runner());
        Self { link, runner, guard: Box::new(lease) }
    }

    /// To the runner that holds a value, on the slot that it keeps.
    fn beside(held: &Arc<dyn HeldGuard>) -> Result<Self, CallError> {
        let stream =
            held.as_any().downcast_ref::<HeldStream>().ok_or_else(|| CallError::Codec {
                what: "the held value is in this process: call the function here".to_owned(),
                error: None,
            })?;
        Ok(Self {
            link: stream.link(),
            runner: stream.runner_name(),
            guard: Box::new(held.clone()),
        })
    }
}

impl Sent {
    /// The next message of the runner, within the deadline. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Message, CallError> {
        let run = self.run.clone();
        self.next_message().instrument(run).await
    }

    async fn next_message(&mut self) -> Result<Message, CallError> {
        let received = match self.deadline {
            Some(deadline) => {
                let late = self.timer(deadline);
                tokio::select! {
                    biased;
                    received = self.stream.receive() => received,
                    () = late => {
                        let replying = self.stream.is_receiving();
                        let phase = if replying { TimeoutPhase::Reply } else { TimeoutPhase::Run };
                        return Err(timeout(phase, self.after));
                    }
                }
            }
            None => self.stream.receive().await,
        };
        match received {
            Ok(Some(message)) if message.tag == u8::from(Tag::Failed) => {
                Err(self.failure(&message.body))
            }
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.protocol("it ended the call without an answer")),
            Err(error) => {
                let started = self.stream.is_flushed();
                Err(lost(error, started, self.runner))
            }
        }
    }

    /// A timer of the pool's runtime: whoever waits need not be in one.
    fn timer(&self, until: Instant) -> tokio::time::Sleep {
        let _within = self.pool.runtime.enter();
        tokio::time::sleep_until(until.into())
    }

    /// That the deadline has passed, where it has. For a stream, whose messages may come without
    /// end, and faster than they are taken.
    pub(super) fn check_deadline(&self) -> Result<(), CallError> {
        match self.deadline {
            Some(deadline) if deadline <= now() => Err(timeout(TimeoutPhase::Run, self.after)),
            _ => Ok(()),
        }
    }

    /// The function ended by itself.
    pub(super) fn succeeded(&mut self) {
        if let Some(told) = &mut self.finished.0 {
            told.ok = true;
        }
        self.run = tracing::Span::none();
    }

    /// The span in which its answer, of so many bytes, is read; or all that it gives, one by one.
    pub(super) fn reply(&self, bytes: Option<usize>) -> tracing::Span {
        tracing::debug_span!(parent: &self.span, "flame.reply", bytes)
    }

    /// A runner that does not keep to the protocol is of no use to anyone, and is lost.
    pub(super) fn protocol(&self, what: &str) -> CallError {
        let reason = format!("{what}, against the protocol");
        self.stream.link().abort(reason.as_str());
        CallError::RunnerLost { started: true, runner: self.runner, reason }
    }

    fn failure(&self, body: &[u8]) -> CallError {
        let failure = match Failure::decode(body) {
            Ok(failure) => failure,
            Err(error) => return self.protocol(&format!("its failure can't be read ({error})")),
        };
        match failure {
            Failure::Panicked { message, location, backtrace } => {
                CallError::Panicked { message, location, backtrace }
            }
            Failure::UnknownFunction { .. } => {
                CallError::UnknownFunction { function: self.function, runner: self.runner }
            }
            Failure::Codec { what } => CallError::Codec { what, error: None },
            Failure::MissingState { state } => {
                CallError::MissingState { function: self.function, state }
            }
            Failure::DeadlinePassed => timeout(TimeoutPhase::Run, self.after),
            Failure::Draining => CallError::RunnerLost {
                started: false,
                runner: self.runner,
                reason: "it was draining".to_owned(),
            },
            Failure::DepthExceeded { limit } => CallError::DepthExceeded { limit },
            Failure::TooLarge { size, limit } => CallError::TooLarge { size, limit },
            Failure::Cancelled => CallError::Cancelled,
            other => self.protocol(&other.to_string()),
        }
    }
}

/// Tells the event stream that a call began, and, dropped, that it is over. Empty where nobody
/// listens: that is the fast path.
struct Finished(Option<Box<Told>>);

struct Told {
    pool: Arc<Shared>,
    runner: RunnerRef,
    function: &'static str,
    trace: TraceContext,
    since: Instant,
    ok: bool,
}

impl Finished {
    fn begin(
        pool: &Arc<Shared>,
        runner: RunnerRef,
        function: &'static str,
        trace: Option<TraceContext>,
    ) -> Self {
        let listened = trace.filter(|_| pool.events.receiver_count() > 0);
        let Some(trace) = listened else { return Self(None) };
        pool.tell(PoolEvent::CallStarted { runner, function, trace });
        let pool = pool.clone();
        Self(Some(Box::new(Told { pool, runner, function, trace, since: now(), ok: false })))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let Self { runner, function, trace, ok, .. } = *self;
        let took = now().saturating_duration_since(self.since);
        self.pool.tell(PoolEvent::CallFinished { runner, function, trace, took, ok });
    }
}

fn refused(refusal: Refusal<crate::pool::driver::Failure>, after: Option<Duration>) -> CallError {
    match refusal {
        Refusal::QueueFull { limit } => CallError::QueueFull { limit },
        Refusal::Draining => CallError::Draining,
        Refusal::BootFailed(failure) => CallError::BootFailed(failure),
        Refusal::Timeout { phase, last_failure } => {
            let phase = match phase {
                WaitPhase::Queue => TimeoutPhase::Queue,
                WaitPhase::Boot => TimeoutPhase::Boot,
            };
            CallError::Timeout { phase, after: after.unwrap_or_default(), boot: last_failure }
        }
    }
}

/// A deadline beyond what the clock can tell is none.
fn deadline(after: Option<Duration>) -> Option<Instant> {
    now().checked_add(after?)
}

/// Lets a call go on without its caller, but nothing that it gives live on.
pub(super) fn linger(stream: &Stream) {
    stream.linger_until(Tag::Result.into());
}

fn timeout(phase: TimeoutPhase, after: Option<Duration>) -> CallError {
    CallError::Timeout { phase, after: after.unwrap_or_default(), boot: None }
}

fn lost(error: StreamError, started: bool, runner: RunnerRef) -> CallError {
    match error {
        StreamError::Send(SendError::TooLarge { size, limit }) => {
            CallError::TooLarge { size, limit }
        }
        StreamError::Full(TooManyStreams { limit }) => CallError::RunnerFull { runner, limit },
        error => CallError::RunnerLost { started, runner, reason: error.to_string() },
    }
}

/// The place of a call in a trace: below the call that is served here, or at the root of its own.
fn next_span() -> TraceContext {
    let span_id = rand::random();
    match CallContext::current().and_then(|caller| caller.trace) {
        Some(caller) => TraceContext { span_id, ..caller },
        None => TraceContext { trace_id: rand::random(), span_id, flags: 0 },
    }
}
