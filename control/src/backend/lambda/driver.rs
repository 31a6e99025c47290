//! Carries out what each [`Invocation`] decides: one task for each invocation.

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::sync::Mutex;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::InvocationType;
use super::client::Client;
use super::invocation::{Action, Event, Invocation};
use super::invoke_failure::InvokeFailure;
use super::outcome::InvokeResponse;
use crate::backend::{Death, Instance, InstanceTable};

/// The parameters of one invocation's requests.
pub(super) struct InvokeRequest {
    pub(super) client: Client,
    pub(super) invocation_type: InvocationType,
    /// The event that contains FLAME_PARENT. It is never logged, and dropped as soon as no further
    /// request can need it.
    pub(super) event: Arc<[u8]>,
    /// The function's own timeout, if it is known.
    pub(super) timeout: Option<Duration>,
}

/// The invocations of one pool. Dropping them drops their requests. Their runners then end as they
/// do when they have lost their parent.
#[derive(Default)]
pub(super) struct Invocations {
    table: InstanceTable<mpsc::UnboundedSender<Event>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Invocations {
    /// Starts an invocation.
    pub(super) fn start(&self, instance: Instance, request: InvokeRequest, invocation: Invocation) {
        let (sender, events) = mpsc::unbounded_channel();
        self.table.insert(instance.clone(), sender);
        let table = self.table.clone();
        let mut tasks = self.tasks.lock();
        // Frees the tasks that have finished.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let report = |death: Death| {
                tracing::debug!(%instance, reason = death.reason, "an invocation has ended");
                table.record_death(&instance, death);
            };
            if let Some(in_flight) = drive(request, invocation, events, report).await {
                log_late_end(&instance, in_flight).await;
            }
        });
    }

    /// Passes an event to an invocation, unless it has ended.
    pub(super) fn handle(&self, instance: &Instance, event: Event) {
        self.table.with(instance, |events| {
            // An invocation that has just ended needs no event.
            let _ = events.send(event);
        });
    }

    pub(super) fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.table.watch(instance)
    }
}

type InFlight = BoxFuture<'static, Result<InvokeResponse, InvokeFailure>>;

/// Runs an invocation until its death is reported. Returns the request, if one is still in flight.
async fn drive(
    request: InvokeRequest,
    mut invocation: Invocation,
    mut events: mpsc::UnboundedReceiver<Event>,
    report: impl FnOnce(Death),
) -> Option<InFlight> {
    let mut request = Some(request);
    let mut in_flight: Option<InFlight> = None;
    loop {
        while let Some(action) = invocation.poll_action() {
            match action {
                Action::Invoke => in_flight = request.as_ref().map(send),
                Action::ReportDeath(death) => {
                    report(death);
                    return in_flight;
                }
            }
        }
        if !invocation.may_invoke() {
            request = None;
        }
        let due = invocation.poll_timeout();
        let timer = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let response = async {
            match &mut in_flight {
                Some(in_flight) => in_flight.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            response = response => {
                in_flight = None;
                let event = match response {
                    Ok(response) => Event::Responded(response),
                    Err(failure) => Event::Failed(failure, rand::random()),
                };
                invocation.handle(Instant::now().into_std(), event);
            }
            Some(event) = events.recv() => invocation.handle(Instant::now().into_std(), event),
            () = timer => invocation.handle_timeout(Instant::now().into_std()),
        }
    }
}

fn send(request: &InvokeRequest) -> InFlight {
    let client = request.client.clone();
    let (invocation_type, timeout) = (request.invocation_type, request.timeout);
    let event = request.event.to_vec();
    async move { client.invoke(invocation_type, event, timeout).await }.boxed()
}

/// An invocation that was given up may still run, and cost, so the log says when it ends.
async fn log_late_end(instance: &Instance, in_flight: InFlight) {
    let begun = Instant::now();
    let given_up = instance.clone();
    log_writer::event(move || {
        tracing::warn!(instance = %given_up, "gave up an invocation that may still run");
    });
    let _ = in_flight.await;
    let after = begun.elapsed();
    let ended = instance.clone();
    log_writer::event(move || {
        tracing::info!(instance = %ended, ?after, "an invocation that was given up has ended");
    });
}

#[cfg(test)]
mod tests;
