//! A call on its way to a runner: it has one deadline, waits for one slot, and becomes one message.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_link::{Link, Stream};
use flame_runner_shim::calling::{EncodedWork, HeldGuard, Timeout};
use flame_runner_shim::otel;
use flame_runner_shim::pump::pump;
use flame_wire::call::{CallHeader, MAX_CHANNELS, is_too_deep};
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::Tag;
use flame_wire::trace::TraceContext;
use tracing::Instrument;

use super::call_record::CallRecord;
use super::call_trace::{begin_call, begin_run, failed};
use super::handle::CallHandle;
use super::held_stream::{HeldStream, runner_key};
use super::in_flight::{InFlightCall, linger, stream_error};
use crate::app;
use crate::error::{CallError, TimeoutPhase};
use crate::pool::lane::{CheckoutError, CheckoutRequest, LaneRole, now};
use crate::pool::state::WaitPhase;
use crate::pool::{Lease, PoolInner};

/// A call that has not been sent. Boxed by its users: thousands may wait, each in a future of its
/// own.
pub(super) struct OutgoingCall {
    record: CallRecord,
    encoded: EncodedWork,
    /// The time limit of the call.
    timeout: Option<Duration>,
    request: CheckoutRequest,
    depth: u8,
    /// The runner has to say that it has accepted the call.
    wants_ack: bool,
    /// The call goes to the runner that holds this value.
    held: Option<Arc<dyn HeldGuard>>,
}

impl OutgoingCall {
    /// The call's deadline runs from here.
    pub(super) fn new(
        call: CallHandle,
        encoded: EncodedWork,
        held: Option<Arc<dyn HeldGuard>>,
    ) -> Box<Self> {
        let timeout = encoded.options.timeout.or(call.pool.timeout);
        let (deadline, info) = (deadline(timeout), Some(call.info.clone()));
        Box::new(Self {
            record: CallRecord::new(call),
            encoded,
            timeout,
            request: CheckoutRequest { deadline, bounds_work: true, call: info },
            depth: app::depth(),
            wants_ack: false,
            held,
        })
    }

    /// A call that ends for its caller when a runner has accepted it. The pool's timeout bounds the
    /// handover. The function itself has a deadline only if the work asks for one.
    pub(super) fn handover(mut self: Box<Self>) -> Box<Self> {
        self.wants_ack = true;
        self.request.bounds_work = self.encoded.options.timeout != Timeout::OfPool;
        self
    }

    /// Restarts the time of the call, for a call that is sent some time after it was made.
    pub(super) fn timed_from_now(mut self: Box<Self>) -> Box<Self> {
        self.request.deadline = deadline(self.timeout);
        self.record.made_now();
        self
    }

    /// Waits for a slot and sends the call. Cancel-safe: if the future is dropped, nothing remains
    /// of the call.
    pub(super) async fn send(mut self: Box<Self>) -> Result<InFlightCall, CallError> {
        let span = self.begin_span();
        let destination = self.find_destination(&span).await;
        let destination =
            self.record.note_error(destination).map_err(|error| failed(&span, error))?;
        self.open(destination, span)
    }

    async fn find_destination(&self, span: &tracing::Span) -> Result<Destination, CallError> {
        self.check()?;
        let destination = match &self.held {
            Some(guard) => Destination::holding(guard, self.record.pool())?,
            None => {
                let queue = tracing::debug_span!(parent: span, "flame.queue");
                let lease = self.check_out().instrument(queue).await;
                Destination::leased(lease.map_err(|error| self.checkout_failed(error))?)
            }
        };
        Ok(destination)
    }

    /// Waits for a slot, in the span of the wait.
    async fn check_out(&self) -> Result<Lease, CheckoutError> {
        let lease = self.record.pool().check_out(&self.request).await?;
        if let Some(boot) = lease.boot() {
            otel::add_link(&tracing::Span::current(), boot);
        }
        Ok(lease)
    }

    /// Opens the span of the call.
    fn begin_span(&mut self) -> tracing::Span {
        let (pool, info) = (self.record.pool(), self.record.info());
        let sent = &mut self.encoded.options.trace;
        let (span, trace) = begin_call(info.function(), pool.name(), info.trace(), sent);
        info.set_trace(trace);
        span
    }

    /// Rejects a call that no runner could serve, before it waits for a slot.
    fn check(&self) -> Result<(), CallError> {
        let pool = self.record.pool();
        let limit = pool.max_depth();
        if is_too_deep(self.depth, limit) {
            return Err(CallError::DepthExceeded { limit });
        }
        if let (Some(limit), Some(_), Some(after)) =
            (pool.longest_call(), self.work_deadline(), self.timeout)
            && after > limit
        {
            return Err(CallError::TooLong { after, limit });
        }
        if self.encoded.channel_ends.len() > MAX_CHANNELS {
            return Err(unsendable(format!(
                "its arguments have {} channel ends, and a call has at most {MAX_CHANNELS}",
                self.encoded.channel_ends.len()
            )));
        }
        Ok(())
    }

    /// The error of a call that got no slot.
    fn checkout_failed(&self, error: CheckoutError) -> CallError {
        match error {
            CheckoutError::QueueFull { limit } => CallError::QueueFull { limit },
            CheckoutError::OverBudget => {
                let budget = self.record.pool().budget;
                CallError::OverBudget { per_hour: budget.map_or(0.0, |budget| budget.dollars()) }
            }
            CheckoutError::Draining => CallError::Draining,
            CheckoutError::BootFailed(failure) => CallError::BootFailed(failure),
            CheckoutError::Timeout { phase, last_failure } => {
                let phase = match phase {
                    WaitPhase::Queue => TimeoutPhase::Queue,
                    WaitPhase::Boot => TimeoutPhase::Boot,
                };
                let after = self.timeout.unwrap_or_default();
                CallError::Timeout { phase, after, boot: last_failure }
            }
        }
    }

    /// When the function has to be done, if it has a deadline.
    fn work_deadline(&self) -> Option<Instant> {
        self.request.deadline.filter(|_| self.request.bounds_work)
    }

    /// Sends the call to its destination.
    fn open(
        self: Box<Self>,
        destination: Destination,
        span: tracing::Span,
    ) -> Result<InFlightCall, CallError> {
        let work_deadline = self.work_deadline();
        let Self { mut record, encoded, timeout, request, depth, wants_ack, .. } = *self;
        let (runner, detached) = (destination.runner, encoded.options.detached);
        let (run_span, trace) = begin_run(&span, runner, encoded.options.trace);
        let terms = CallTerms { timeout, work_deadline, depth, wants_ack, trace };
        let opened = open_stream(&mut record, destination, encoded, terms);
        let stream = record.note_error(opened).map_err(|error| failed(&span, error))?;
        if detached {
            linger(&stream);
        }
        let deadline = request.deadline;
        Ok(InFlightCall {
            stream,
            runner,
            timeout,
            deadline,
            work_deadline,
            span,
            run_span,
            record,
        })
    }
}

/// What a call's message says besides the work.
struct CallTerms {
    timeout: Option<Duration>,
    work_deadline: Option<Instant>,
    depth: u8,
    wants_ack: bool,
    /// The context for the runner.
    trace: Option<TraceContext>,
}

/// Sends the call's message, and opens the streams of its channels.
fn open_stream(
    record: &mut CallRecord,
    destination: Destination,
    encoded: EncodedWork,
    terms: CallTerms,
) -> Result<Stream, CallError> {
    let EncodedWork { function, body, channel_ends, held_guards, options, .. } = encoded;
    let Destination { link, runner, lane, guard } = destination;
    if held_guards.iter().any(|held| held.runner() != runner_key(runner)) {
        let why = "an argument is held by another runner: call the function by `pool.at(&held)`";
        return Err(unsendable(why.to_owned()));
    }
    let budget = terms.work_deadline.map(|by| by.saturating_duration_since(now()));
    if budget.is_some_and(|budget| budget.is_zero()) {
        return Err(CallError::timeout(TimeoutPhase::Queue, terms.timeout));
    }
    let opened = link.open(channel_ends.len(), Some(guard), |id, channels| {
        let header = CallHeader {
            budget,
            depth: terms.depth,
            detached: options.detached,
            ack: terms.wants_ack,
            trace: terms.trace,
            channels: channels.iter().map(|id| id.0).collect(),
            ..CallHeader::new(function)
        };
        let message = header.encode(body)?;
        // Before the message is sent: then the call may end, and its runner with it, before this
        // thread goes on.
        record.sent(runner, lane, CallId(id.0));
        Ok((Tag::Call.into(), message.into(), true))
    });
    let (stream, channels) = opened.map_err(|error| stream_error(error, false, runner))?;
    for (end, stream) in channel_ends.into_iter().zip(channels) {
        record.pool().runtime().spawn(pump(end, stream));
    }
    Ok(stream)
}

/// The runner that a call goes to, and the guard that keeps a slot there.
struct Destination {
    link: Link,
    runner: RunnerRef,
    lane: LaneRole,
    guard: Box<dyn Any + Send>,
}

impl Destination {
    fn leased(lease: Lease) -> Self {
        let (link, runner, lane) = (lease.link().clone(), lease.runner(), lease.lane());
        Self { link, runner, lane, guard: Box::new(lease) }
    }

    /// The runner that holds a value, with the slot that the value occupies.
    fn holding(guard: &Arc<dyn HeldGuard>, pool: &PoolInner) -> Result<Self, CallError> {
        let Some(stream) = HeldStream::of(guard.as_ref()) else {
            let why = "the held value is in this process: await the function here";
            return Err(unsendable(why.to_owned()));
        };
        Ok(Self {
            link: stream.link().clone(),
            runner: stream.runner(),
            lane: pool.lane_of(stream.runner()),
            guard: Box::new(guard.clone()),
        })
    }
}

/// The error of a call whose arguments can't be sent.
fn unsendable(what: String) -> CallError {
    CallError::Codec { what, started: false }
}

/// A deadline that the clock can't represent is no deadline.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    now().checked_add(timeout?)
}
