//! A call that was sent to a runner: it waits for the runner's messages, up to its deadline.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flame_link::{Stream, StreamError};
use flame_runner_shim::calling::ReplyDecoder;
use flame_wire::body::Value;
use flame_wire::failure::CallFailure;
use flame_wire::ids::RunnerRef;
use flame_wire::message::Tag;
use flame_wire::mux::{Message, SendError, TooManyStreams};
use tracing::Instrument;

use super::call_record::CallRecord;
use super::call_trace::failed;
use super::held_stream::HeldStream;
use crate::error::{CallError, TimeoutPhase};
use crate::pool::lane::now;

/// A call that was sent to a runner and has not ended. Dropping it cancels the call, unless the
/// call is detached.
pub(super) struct InFlightCall {
    pub(super) stream: Stream,
    pub(super) runner: RunnerRef,
    /// The time limit of the call.
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    /// The deadline of the function alone, for a call whose `deadline` also bounds the handover.
    pub(super) work_deadline: Option<Instant>,
    /// The span of the whole call.
    pub(super) span: tracing::Span,
    /// The span from sending the call until its answer has arrived.
    pub(super) run_span: tracing::Span,
    pub(super) record: CallRecord,
}

impl InFlightCall {
    /// Waits for the next message of the runner, up to the deadline. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Message, CallError> {
        let run_span = self.run_span.clone();
        let received = self.next_message().instrument(run_span).await;
        self.record.note_error(received).map_err(|error| failed(&self.span, error))
    }

    async fn next_message(&mut self) -> Result<Message, CallError> {
        let received = match self.deadline {
            Some(deadline) => {
                let timer = self.timer(deadline);
                tokio::select! {
                    biased;
                    received = self.stream.receive() => received,
                    () = timer => {
                        let replying = self.stream.is_receiving();
                        let phase = if replying { TimeoutPhase::Reply } else { TimeoutPhase::Run };
                        return Err(CallError::timeout(phase, self.timeout));
                    }
                }
            }
            None => self.stream.receive().await,
        };
        match received {
            Ok(Some(message)) if message.tag == u8::from(Tag::Failed) => {
                Err(self.failed(&message.body))
            }
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.protocol_error("it ended the call without an answer")),
            Err(error) => Err(stream_error(error, self.stream.is_flushed(), self.runner)),
        }
    }

    /// A timer of the pool's runtime, because the caller may wait outside of any runtime.
    fn timer(&self, until: Instant) -> tokio::time::Sleep {
        let _within = self.record.pool().runtime().enter();
        tokio::time::sleep_until(until.into())
    }

    /// Fails if the deadline has passed. A stream calls this before each item, because `receive`
    /// prefers a message to an expired timer: a stream whose next item is always ready would never
    /// time out.
    pub(super) fn check_deadline(&mut self) -> Result<(), CallError> {
        let checked = match self.deadline {
            Some(deadline) if deadline <= now() => {
                Err(CallError::timeout(TimeoutPhase::Run, self.timeout))
            }
            _ => Ok(()),
        };
        self.record.note_error(checked)
    }

    /// Waits until the runner has accepted the call.
    pub(super) async fn accepted(&mut self) -> Result<(), CallError> {
        let message = self.receive().await?;
        if message.tag == u8::from(Tag::Accepted) {
            Ok(())
        } else {
            let error = self.protocol_error("it answered the call before it accepted it");
            self.record.note_error(Err(error))
        }
    }

    /// Waits for the one result.
    pub(super) async fn result(&mut self) -> Result<Message, CallError> {
        let message = self.receive().await?;
        if message.tag != u8::from(Tag::Result) {
            let error = self.protocol_error("it answered with something other than a result");
            return self.record.note_error(Err(error));
        }
        self.succeeded();
        // Held values in the result live as long as the caller's handles, even if the call was
        // detached.
        self.stream.reset_on_drop();
        Ok(message)
    }

    /// Decodes the one result.
    pub(super) fn decode<T>(
        self,
        message: Message,
        decoder: ReplyDecoder<T>,
    ) -> Result<T, CallError> {
        let span = self.reply_span(Some(message.body.len()));
        let Self { stream, runner, mut record, .. } = self;
        let decoded = span.in_scope(|| {
            let value = value(message.body)?;
            // A result with held values does not end the stream: the values keep it open.
            let held = (!message.end).then(|| HeldStream::source(stream, runner));
            decoder.decode(value, held).map_err(|error| CallError::result(&error))
        });
        record.note_error(decoded)
    }

    /// The function has returned.
    pub(super) fn succeeded(&mut self) {
        self.record.succeeded();
        self.run_span = tracing::Span::none();
    }

    /// A span for decoding the result, of this many bytes, or the items of a stream.
    pub(super) fn reply_span(&self, bytes: Option<usize>) -> tracing::Span {
        tracing::debug_span!(parent: &self.span, "flame.reply", bytes)
    }

    /// Ends the link with the runner: a runner that breaks the protocol can serve no call.
    pub(super) fn protocol_error(&self, violation: &str) -> CallError {
        let reason = format!("the runner broke the protocol: {violation}");
        self.stream.link().abort(reason.as_str());
        CallError::RunnerLost { started: true, runner: self.runner, reason }
    }

    /// The error in a FAILED message.
    fn failed(&self, body: &[u8]) -> CallError {
        let failure = match CallFailure::decode(body) {
            Ok(failure) => failure,
            Err(error) => {
                return self.protocol_error(&format!("its failure can't be read ({error})"));
            }
        };
        match failure {
            CallFailure::Panicked { message, location, backtrace } => {
                CallError::Panicked { message, location, backtrace }
            }
            CallFailure::UnknownFunction { .. } => {
                let function = self.record.info().function();
                CallError::UnknownFunction { function, runner: self.runner }
            }
            // The runner does not say whether the arguments or the result caused the error.
            CallFailure::Codec { what } => CallError::Codec { what, started: true },
            CallFailure::MissingState { state } => {
                CallError::MissingState { function: self.record.info().function(), state }
            }
            CallFailure::DeadlinePassed => CallError::timeout(TimeoutPhase::Run, self.timeout),
            CallFailure::Draining => CallError::RunnerLost {
                started: false,
                runner: self.runner,
                reason: "it was draining".to_owned(),
            },
            CallFailure::DepthExceeded { limit } => CallError::DepthExceeded { limit },
            CallFailure::TooLarge { size, limit } => {
                CallError::TooLarge { size, limit, started: true }
            }
            CallFailure::Cancelled => CallError::Cancelled,
            other => self.protocol_error(&other.to_string()),
        }
    }
}

/// Reads the body of a result, or of an item of a stream.
pub(super) fn value(body: Bytes) -> Result<Value, CallError> {
    Value::decode(body).map_err(|error| CallError::result(&error))
}

/// Lets a call run to its end if its caller goes away. The result is then dropped, with the held
/// values in it.
pub(super) fn linger(stream: &Stream) {
    stream.keep_on_drop_until(Tag::Result.into());
}

/// Why the stream of a call can't be opened or read. `started` says whether the runner may have
/// received the call.
pub(super) fn stream_error(error: StreamError, started: bool, runner: RunnerRef) -> CallError {
    match error {
        StreamError::Send(SendError::TooLarge { size, limit }) => {
            CallError::TooLarge { size, limit, started }
        }
        StreamError::TooManyStreams(TooManyStreams { limit }) => {
            CallError::RunnerFull { runner, limit }
        }
        StreamError::Encode(error) => CallError::Codec { what: error.to_string(), started },
        error => CallError::RunnerLost { started, runner, reason: error.to_string() },
    }
}
