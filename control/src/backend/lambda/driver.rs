//! Carries out what an [`Invocation`] decides: one task for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flame_runner_shim::log_writer;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Invoked;
use super::client::Client;
use super::invocation::{Action, Event, Invocation};
use super::outcome::Reply;
use super::refusal::Refusal;
use crate::backend::{Death, Instance};

/// What a request needs.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) client: Client,
    pub(super) how: Invoked,
    /// Has the token in it: never logged.
    pub(super) event: Vec<u8>,
    /// The function's own limit, if it is known.
    pub(super) timeout: Option<Duration>,
}

/// The invocations of a backend. Dropped, their requests are, too; what they have begun ends as it
/// does when a parent is gone.
#[derive(Default)]
pub(super) struct Invocations(Mutex<Table>);

#[derive(Default)]
struct Table {
    known: HashMap<Instance, Entry>,
    tasks: JoinSet<()>,
}

struct Entry {
    events: mpsc::UnboundedSender<Event>,
    death: watch::Receiver<Option<Death>>,
}

impl Invocations {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets an invocation going.
    pub(super) fn begin(self: &Arc<Self>, name: Instance, order: Order, invocation: Invocation) {
        let (events, inbox) = mpsc::unbounded_channel();
        let (dead, death) = watch::channel(None);
        let end = End { all: Arc::downgrade(self), name: name.clone(), dead };
        let mut table = self.lock();
        // Those that are over are let go of.
        while table.tasks.try_join_next().is_some() {}
        table.tasks.spawn(drive(order, invocation, inbox, end));
        table.known.insert(name, Entry { events, death });
    }

    /// Tells an invocation of something, if it is known.
    pub(super) fn tell(&self, name: &Instance, event: Event) {
        if let Some(entry) = self.lock().known.get(name) {
            // One that is just over needs no telling.
            let _ = entry.events.send(event);
        }
    }

    /// Its death, if it is known.
    pub(super) fn death(&self, name: &Instance) -> Option<watch::Receiver<Option<Death>>> {
        self.lock().known.get(name).map(|entry| entry.death.clone())
    }
}

/// Where a death is told.
struct End {
    all: Weak<Invocations>,
    name: Instance,
    dead: watch::Sender<Option<Death>>,
}

impl End {
    fn tell(&self, death: Death) {
        tracing::debug!(instance = %self.name, reason = death.reason, "an invocation is over");
        if let Some(all) = self.all.upgrade() {
            all.lock().known.remove(&self.name);
        }
        self.dead.send_replace(Some(death));
    }
}

type Asked = Result<Reply, Refusal>;

async fn drive(
    order: Order,
    mut invocation: Invocation,
    mut inbox: mpsc::UnboundedReceiver<Event>,
    end: End,
) {
    let mut request: Option<BoxFuture<'static, Asked>> = None;
    loop {
        while let Some(action) = invocation.poll_action() {
            match action {
                Action::Send => request = Some(send(order.clone())),
                Action::Die(death) => {
                    end.tell(death);
                    if let Some(request) = request {
                        outlive(&end.name, request).await;
                    }
                    return;
                }
            }
        }
        let due = invocation.poll_timeout();
        let timer = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match &mut request {
                Some(request) => request.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = answer => {
                request = None;
                let event = match answer {
                    Ok(reply) => Event::Answered(reply),
                    Err(refusal) => Event::Failed(refusal, rand::random()),
                };
                invocation.handle(Instant::now().into_std(), event);
            }
            Some(event) = inbox.recv() => invocation.handle(Instant::now().into_std(), event),
            () = timer => invocation.handle_timeout(Instant::now().into_std()),
        }
    }
}

fn send(order: Order) -> BoxFuture<'static, Asked> {
    let Order { client, how, event, timeout } = order;
    async move { client.invoke(how, event, timeout).await }.boxed()
}

/// An invocation that was given up may run on, and cost: its end is worth a line.
async fn outlive(name: &Instance, request: BoxFuture<'static, Asked>) {
    let begun = Instant::now();
    let instance = name.clone();
    log_writer::event(move || {
        tracing::warn!(%instance, "an invocation was given up, and may still run");
    });
    let _ = request.await;
    let after = begun.elapsed();
    let instance = name.clone();
    log_writer::event(move || {
        tracing::info!(%instance, ?after, "an invocation that was given up has ended");
    });
}
