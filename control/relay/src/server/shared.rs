//! The state machine and the queues to its tasks, behind one lock that all tasks share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use flame_wire::entropy;
use flame_wire::error::NoEntropy;
use flame_wire::hex::Hex;
use flame_wire::ids::RunnerRef;
use flame_wire::relay::{ParentToRelay, RelayToParent, Ticket};
use flame_wire::sync::{Mutex, RwLock};
use hyper::upgrade::OnUpgrade;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::handshakes::Handshakes;
use crate::config::Config;
use crate::core::{Action, ConnectionId, Refusal, RelayState, Snapshot};
use crate::keys::{KeyId, KeyRing};
use crate::metrics::Metrics;
use crate::pair::{PairEnds, PairTable};
use crate::tls::TlsFiles;

/// How many messages to a parent may wait. A parent that reads so slowly loses its connection.
const MAX_MESSAGES: usize = 4096;

pub(super) struct Shared {
    pub(super) config: Config,
    /// Identifies this process.
    pub(super) node: String,
    pub(super) keys: RwLock<KeyRing>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) metrics: Metrics,
    pub(super) handshakes: Handshakes,
    pub(super) pairs: PairTable,
    inner: Mutex<Inner>,
    /// Wakes the timer's task: the next timeout is earlier than it was.
    timer: Notify,
    /// Whether all connections have to close.
    closing: watch::Sender<bool>,
    /// When the drain is over, once it has begun.
    drain_ends: watch::Sender<Option<Instant>>,
    /// How many [`OpenConnection`]s there are.
    open: watch::Sender<usize>,
}

struct Inner {
    state: RelayState,
    parents: HashMap<ConnectionId, mpsc::Sender<RelayToParent>>,
    waiting: HashMap<ConnectionId, WaitingRunner>,
}

/// A runner whose HTTP request is not answered yet.
struct WaitingRunner {
    answer: oneshot::Sender<Result<(), Refusal>>,
    upgrade: OnUpgrade,
}

/// A runner that waits for its answer.
pub(super) struct RunnerRequest {
    pub(super) connection: OpenConnection,
    pub(super) answer: oneshot::Receiver<Result<(), Refusal>>,
}

/// A control connection that was admitted.
pub(super) struct ControlConnection {
    pub(super) connection: OpenConnection,
    pub(super) messages: mpsc::Receiver<RelayToParent>,
}

/// A runner and its parent's socket, before their upgrades.
pub(super) struct NewPair {
    pub(super) ends: PairEnds,
    pub(super) runner_upgrade: OnUpgrade,
    pub(super) connections: [OpenConnection; 2],
}

/// Reports the end of a connection when it is dropped, unless it was handed over.
pub(super) struct OpenConnection {
    pub(super) id: ConnectionId,
    shared: Arc<Shared>,
    is_handed_over: bool,
}

impl OpenConnection {
    /// Another [`OpenConnection`] reports the end.
    pub(super) fn hand_over(mut self) {
        self.is_handed_over = true;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if !self.is_handed_over {
            self.shared.update(|inner| {
                inner.state.disconnected(self.id);
                inner.parents.remove(&self.id);
                inner.waiting.remove(&self.id);
            });
        }
        self.shared.open.send_modify(|open| *open -= 1);
    }
}

impl Shared {
    pub(super) fn new(
        config: Config,
        keys: KeyRing,
        tls: Option<TlsFiles>,
        metrics: Metrics,
    ) -> Result<Self, NoEntropy> {
        let node = entropy::random_bytes::<8>()?;
        let state = RelayState::new(config.limits);
        Ok(Self {
            handshakes: Handshakes::new(config.max_handshakes),
            pairs: PairTable::default(),
            config,
            node: Hex(&node).to_string(),
            keys: RwLock::new(keys),
            tls,
            metrics,
            inner: Mutex::new(Inner { state, parents: HashMap::new(), waiting: HashMap::new() }),
            timer: Notify::new(),
            closing: watch::Sender::new(false),
            drain_ends: watch::Sender::new(None),
            open: watch::Sender::new(0),
        })
    }

    pub(super) fn parent_connected(
        self: &Arc<Self>,
        key: KeyId,
        address: IpAddr,
    ) -> Result<ControlConnection, Refusal> {
        let (sender, messages) = mpsc::channel(MAX_MESSAGES);
        let id = self.update(|inner| {
            let id = inner.state.parent_connected(now(), key, address)?;
            inner.parents.insert(id, sender);
            Ok(id)
        })?;
        Ok(ControlConnection { connection: self.open(id), messages })
    }

    pub(super) fn message_from(&self, parent: ConnectionId, message: ParentToRelay) {
        self.update(|inner| match message {
            ParentToRelay::Register { runners, expires_in_ms } => {
                let expires_in = std::time::Duration::from_millis(expires_in_ms);
                inner.state.register(now(), parent, runners, expires_in);
            }
            ParentToRelay::Unregister { runners } => inner.state.unregister(parent, &runners),
            // A newer parent may say more, but must not rely on it.
            _ => {}
        });
    }

    pub(super) fn runner_arrived(
        self: &Arc<Self>,
        runner: RunnerRef,
        address: IpAddr,
        upgrade: OnUpgrade,
    ) -> Result<RunnerRequest, Refusal> {
        let ticket = Ticket::generate().map_err(|_| Refusal::NoEntropy)?;
        let (sender, answer) = oneshot::channel();
        let id = self.update(|inner| {
            let id = inner.state.runner_arrived(now(), runner, address, ticket)?;
            inner.waiting.insert(id, WaitingRunner { answer: sender, upgrade });
            Ok(id)
        })?;
        Ok(RunnerRequest { connection: self.open(id), answer })
    }

    /// Answers the runner, too.
    pub(super) fn socket_arrived(
        self: &Arc<Self>,
        ticket: Ticket,
        key: KeyId,
        address: IpAddr,
    ) -> Result<NewPair, Refusal> {
        let (pairing, runner) = self.update(|inner| {
            let pairing = inner.state.socket_arrived(now(), ticket, key, address)?;
            Ok((pairing, inner.waiting.remove(&pairing.runner_connection)))
        })?;
        let connections =
            [self.open(pairing.runner_connection), self.open(pairing.socket_connection)];
        let WaitingRunner { answer, upgrade } = runner.ok_or(Refusal::UnknownTicket)?;
        answer.send(Ok(())).map_err(|_| Refusal::UnknownTicket)?;
        self.metrics.paired(pairing.waited);
        let ends = PairEnds {
            id: pairing.runner_connection,
            runner: pairing.runner,
            runner_address: pairing.runner_address,
            parent_address: address,
        };
        Ok(NewPair { ends, runner_upgrade: upgrade, connections })
    }

    pub(super) fn keys_replaced(&self, revoked: &[KeyId]) {
        self.update(|inner| revoked.iter().for_each(|&key| inner.state.key_revoked(key)));
    }

    pub(super) fn handle_timeout(&self) {
        self.update(|inner| inner.state.handle_timeout(now()));
    }

    /// When the state machine's next timeout is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.inner.lock().state.poll_timeout().map(Instant::from_std)
    }

    pub(super) async fn timeout_moved(&self) {
        self.timer.notified().await;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.inner.lock().state.is_draining()
    }

    pub(super) fn render_metrics(&self) -> String {
        self.metrics.render(&self.inner.lock().state, self.handshakes.count())
    }

    pub(super) fn snapshot(&self, max_rows: usize) -> Snapshot {
        self.inner.lock().state.snapshot(max_rows)
    }

    /// When the drain is over, once it has begun.
    pub(super) fn drain_ends(&self) -> Option<Instant> {
        *self.drain_ends.borrow()
    }

    /// Becomes true when all connections have to close.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(super) fn drain(&self) {
        let within = self.config.drain_time;
        self.update(|inner| inner.state.drain(within));
        self.drain_ends.send_modify(|ends| {
            ends.get_or_insert_with(|| Instant::now() + within);
        });
    }

    /// Waits until the drain has begun and its time is over, or until no connection is left. Then
    /// closes all connections.
    pub(super) async fn drained(&self) {
        let mut drain_ends = self.drain_ends.subscribe();
        let Ok(ends) = drain_ends.wait_for(Option::is_some).await.map(|ends| *ends) else { return };
        let mut open = self.open.subscribe();
        if let Some(ends) = ends {
            tokio::select! {
                () = sleep_until(ends) => {}
                _ = open.wait_for(|&open| open == 0) => {}
            }
        }
        self.closing.send_replace(true);
        // Each connection closes, and each answer is written, within a time limit of its own.
        let _ = open.wait_for(|&open| open == 0).await;
        self.handshakes.answered().await;
    }

    /// The end of this connection is reported when the value is dropped.
    fn open(self: &Arc<Self>, id: ConnectionId) -> OpenConnection {
        self.open.send_modify(|open| *open += 1);
        OpenConnection { id, shared: self.clone(), is_handed_over: false }
    }

    /// Changes the state, and carries out the actions that follow.
    fn update<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let before = inner.state.poll_timeout();
        let result = change(&mut inner);
        while let Some(action) = inner.state.poll_action() {
            inner.carry_out(action);
        }
        let after = inner.state.poll_timeout();
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.timer.notify_one();
        }
        result
    }
}

impl Inner {
    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(parent, message) => {
                let sent = self.parents.get(&parent).map(|queue| queue.try_send(message));
                if let Some(Err(TrySendError::Full(_))) = sent {
                    tracing::warn!("a parent does not read its messages");
                    // Its task ends with its queue.
                    self.parents.remove(&parent);
                }
            }
            Action::Refuse(runner, refusal) => {
                if let Some(waiting) = self.waiting.remove(&runner) {
                    // If no task receives it, the runner has disconnected.
                    let _ = waiting.answer.send(Err(refusal));
                }
            }
            Action::Disconnect(parent) => {
                self.parents.remove(&parent);
            }
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
