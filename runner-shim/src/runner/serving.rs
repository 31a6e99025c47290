//! The calls that a runner serves. Each call is one task, from its CALL message to its last answer.
//!
//! ```text
//! CALL ──▶ rejected: FAILED              (draining, unknown function, too deep, does not decode)
//!      └─▶ task ── runs ──▶ RESULT | ITEM* DONE | FAILED ──▶ the stream ends
//!            ├── reset by the parent: the function is dropped at its current await
//!            ├── its deadline passes: the same, and FAILED
//!            └── the shutdown window is over: the same, and FAILED
//! ```
//!
//! Invariant: a stream ends only when its function has really ended, because the parent keeps the
//! slot until then. This includes plain functions, whose blocking threads nothing can stop. The
//! caller does not wait for them: FAILED is sent at once, and DONE follows when the function
//! returns.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use flame_link::{Handler, Stream};
use flame_wire::call::{CallHeader, is_too_deep};
use flame_wire::failure::CallFailure;
use flame_wire::frame::StreamId;
use flame_wire::ids::RunnerRef;
use flame_wire::message::{ParentToRunner, Tag};
use flame_wire::mux::Message;
use flame_wire::parent::check_addresses;
use flame_wire::sync::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};

use self::call::Call;
use super::channel_drain::ChannelDrain;
use super::dialling::ParentAddresses;
use super::held_values::HeldValues;
use super::terminator::Event;
use crate::calling::table;

mod call;
#[cfg(test)]
mod tests;

/// The state that all calls of a runner share.
pub(super) struct Calls {
    runner: RunnerRef,
    max_depth: u8,
    events: mpsc::UnboundedSender<Event>,
    stopped_accepting: AtomicBool,
    calls_done: AtomicU64,
    held_values: Arc<HeldValues>,
    channel_drain: ChannelDrain,
    /// Calls without an answer so far. Notifying a call aborts it.
    unanswered: Mutex<HashMap<StreamId, Arc<Notify>>>,
    running_functions: AtomicUsize,
    /// A call was answered, or a function has ended.
    progress: Notify,
}

impl Calls {
    pub(super) fn new(
        runner: RunnerRef,
        max_depth: u8,
        events: mpsc::UnboundedSender<Event>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runner,
            max_depth,
            events,
            stopped_accepting: AtomicBool::new(false),
            calls_done: AtomicU64::new(0),
            held_values: Arc::default(),
            channel_drain: ChannelDrain::default(),
            unanswered: Mutex::default(),
            running_functions: AtomicUsize::new(0),
            progress: Notify::new(),
        })
    }

    /// New calls are answered with [`CallFailure::Draining`] from now on.
    pub(super) fn stop_accepting(&self) {
        self.stopped_accepting.store(true, Ordering::Relaxed);
    }

    /// Aborts the calls that have no answer yet.
    pub(super) fn abort_all(&self) {
        self.unanswered().values().for_each(|call| call.notify_one());
    }

    /// Delivers the messages that functions have sent on channels.
    pub(super) fn channel_drain(&self) -> &ChannelDrain {
        &self.channel_drain
    }

    /// Calls that have ended so far.
    pub(super) fn calls_done(&self) -> u64 {
        self.calls_done.load(Ordering::Relaxed)
    }

    /// Functions that are running. A plain function may run for longer than its call.
    pub(super) fn running_functions(&self) -> usize {
        self.running_functions.load(Ordering::Acquire)
    }

    /// Waits until each call has its answer, even if its function is still running. Cancel-safe.
    pub(super) async fn all_answered(&self) {
        self.wait_until(|| self.unanswered().is_empty()).await;
    }

    /// Waits until no function is running. Cancel-safe.
    pub(super) async fn all_functions_ended(&self) {
        self.wait_until(|| self.running_functions() == 0).await;
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if condition() {
                return;
            }
            progress.await;
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Notify>>> {
        self.unanswered.lock()
    }

    fn send_event(&self, event: Event) {
        // The runner's driver may have returned; then nobody needs the event.
        let _ = self.events.send(event);
    }
}

/// Receives what the parent sends over the link.
pub(super) struct CallHandler {
    pub(super) calls: Arc<Calls>,
    /// The addresses that the parent may replace.
    pub(super) addresses: ParentAddresses,
}

impl Handler for CallHandler {
    fn on_stream_opened(&mut self, stream: Stream, first: Message) {
        if let Err((stream, failure)) = accept_call(&self.calls, stream, first) {
            send_failure(&stream, &failure, FailedMessage::EndsStream);
        }
    }

    fn on_control(&mut self, message: Message) {
        match ParentToRunner::decode(&message.body) {
            Ok(ParentToRunner::Drain { within_ms }) => {
                let within = Duration::from_millis(within_ms);
                self.calls.send_event(Event::DrainRequested { within: Some(within) });
            }
            Ok(ParentToRunner::StayUp { again_in_ms }) => {
                let again_in = again_in_ms.map(Duration::from_millis);
                self.calls.send_event(Event::StayUp { again_in });
            }
            Ok(ParentToRunner::Addresses { addresses }) => match check_addresses(&addresses) {
                Ok(()) => self.addresses.replace(addresses),
                Err(reason) => {
                    tracing::warn!("ignored new addresses of the parent: the list {reason}");
                }
            },
            Ok(_) => {
                tracing::warn!("ignored a message from the parent that this version does not know");
            }
            Err(error) => {
                tracing::warn!(%error, "ignored a message from the parent that does not decode");
            }
        }
    }

    fn on_connected(&mut self) {
        self.calls.send_event(Event::Connected);
    }

    fn on_disconnected(&mut self) {
        self.calls.send_event(Event::Disconnected);
    }
}

/// Checks a call and starts its task. No code of the app runs before these checks.
fn accept_call(
    calls: &Arc<Calls>,
    stream: Stream,
    first: Message,
) -> Result<(), (Stream, CallFailure)> {
    if first.tag != u8::from(Tag::Call) {
        let what = format!("the stream began with message {} instead of a call", first.tag);
        return Err((stream, CallFailure::Codec { what }));
    }
    if calls.stopped_accepting.load(Ordering::Relaxed) {
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
    let Some(function) = table::find(header.function) else {
        let known = u32::try_from(table::table().len()).unwrap_or(u32::MAX);
        return Err((stream, CallFailure::UnknownFunction { id: header.function, known }));
    };
    // Claimed before the next frame is read, so that no message of the channels is missed.
    let link = stream.link();
    let channels = header.channels.iter().map(|id| link.claim(StreamId(*id))).collect();
    let call = Call::new(calls.clone(), stream, &header);
    tokio::spawn(call.run(function, header, body, channels));
    Ok(())
}

/// How a FAILED message relates to the end of its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FailedMessage {
    /// It is the last message.
    EndsStream,
    /// It is the last message, and replaces the messages that are waiting to be sent.
    ReplacesQueue,
    /// A DONE follows when the function has ended.
    BeforeDone,
}

fn send_failure(stream: &Stream, failure: &CallFailure, kind: FailedMessage) {
    match failure.encode() {
        Ok(body) => {
            let (tag, body) = (Tag::Failed.into(), body.into());
            // A caller that has reset the stream, or is gone, needs no answer.
            let _ = match kind {
                FailedMessage::ReplacesQueue => stream.conclude(tag, body),
                FailedMessage::EndsStream => stream.send_now(tag, body, true),
                FailedMessage::BeforeDone => stream.send_now(tag, body, false),
            };
            stream.keep_on_drop();
        }
        Err(error) => tracing::error!(%error, %failure, "a failure can't be sent to the parent"),
    }
}
