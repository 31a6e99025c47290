//! The relays that pools of a runtime share: one control connection for each URL, however many
//! pools there are.

use std::sync::{Arc, Weak};
use std::time::Duration;

use flame_wire::error::Chain;
use flame_wire::ids::RunnerRef;
use flame_wire::relay::ParentToRelay;
use flame_wire::sync::Mutex;
use futures_util::stream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

use super::connection::{self, RelayConnectionEnd};
use super::state::{RelayClientState, RelayIndex, address_for};
use super::{Relay, RelayKey};
use crate::error::PoolError;
use crate::listener::{Listener, NewSocket};

/// How long a pool waits for a relay when it starts.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How many sockets may wait for the listener. It takes them at once.
const QUEUED_SOCKETS: usize = 16;

/// The relay clients of a listener.
#[derive(Default)]
pub(crate) struct RelayClients(Mutex<Vec<Weak<RelayClient>>>);

/// The connections to relays that were given together, with one key. They end when it is dropped.
pub(crate) struct RelayClient {
    shared: Arc<ClientShared>,
    /// Ends with the runtime.
    serving: AbortHandle,
    /// Aborted when the set is dropped.
    _tasks: JoinSet<()>,
}

/// The state that the tasks of a client share with its pools.
pub(super) struct ClientShared {
    urls: Vec<String>,
    pub(super) key: RelayKey,
    state: Mutex<RelayClientState>,
    /// For each relay: there may be a message to send.
    pub(super) to_send: Vec<Notify>,
    addresses: watch::Sender<Vec<String>>,
    /// For each relay, how its last attempt to connect went.
    attempts: watch::Sender<Vec<Attempt>>,
    pub(super) sockets: mpsc::Sender<NewSocket>,
}

/// How the last attempt to connect to a relay went.
#[derive(Debug, Clone)]
enum Attempt {
    Pending,
    Connected,
    Failed(Arc<RelayConnectionEnd>),
}

impl RelayClients {
    /// The client for these URLs and this key. Pools with the same share one.
    pub(crate) fn client(
        &self,
        listener: &Listener,
        urls: &[String],
        key: &RelayKey,
    ) -> Arc<RelayClient> {
        let mut clients = self.0.lock();
        clients.retain(|client| client.strong_count() > 0);
        let existing = clients.iter().filter_map(Weak::upgrade).find(|client| {
            client.shared.urls == urls && client.shared.key == *key && !client.serving.is_finished()
        });
        existing.unwrap_or_else(|| {
            let client = Arc::new(RelayClient::start(listener, urls, key));
            clients.push(Arc::downgrade(&client));
            client
        })
    }
}

impl RelayClient {
    fn start(listener: &Listener, urls: &[String], key: &RelayKey) -> Self {
        let (sockets, new_sockets) = mpsc::channel(QUEUED_SOCKETS);
        let shared = Arc::new(ClientShared::new(urls, key, sockets));
        let mut tasks = JoinSet::new();
        let new_sockets = stream::unfold(new_sockets, async |mut new_sockets| {
            new_sockets.recv().await.map(|socket| (socket, new_sockets))
        });
        let serving = tasks.spawn(listener.clone().serve(new_sockets));
        for relay in (0..urls.len()).map(RelayIndex) {
            tasks.spawn(connection::run(shared.clone(), relay));
        }
        Self { shared, serving, _tasks: tasks }
    }

    /// Waits until one of the relays is connected.
    pub(crate) async fn connected(&self) -> Result<(), PoolError> {
        let mut attempts = self.shared.attempts.subscribe();
        let is_decided = |attempts: &Vec<Attempt>| {
            attempts.iter().any(Attempt::is_connected)
                || attempts.iter().all(Attempt::is_rejected_key)
        };
        // Whether it is decided or too late, the last attempts tell.
        let _ = timeout(START_TIMEOUT, attempts.wait_for(is_decided)).await;
        let attempts = attempts.borrow().clone();
        if attempts.iter().any(Attempt::is_connected) {
            return Ok(());
        }
        let url = self.shared.urls.join(", ");
        if attempts.iter().all(Attempt::is_rejected_key) {
            return Err(PoolError::RelayKeyRejected { url });
        }
        let failure = attempts.into_iter().find_map(|attempt| match attempt {
            Attempt::Failed(end) => Some(end),
            Attempt::Pending | Attempt::Connected => None,
        });
        let source = failure.unwrap_or_else(|| Arc::new(RelayConnectionEnd::NoWelcome));
        Err(PoolError::RelayUnreachable { url, source: Box::new(source) })
    }

    /// Lets a runner connect through the relays.
    pub(crate) fn register(&self, runner: RunnerRef) {
        self.shared.register(runner);
    }

    /// The runner will not connect again.
    pub(crate) fn unregister(&self, runner: RunnerRef) {
        self.shared.unregister(runner);
    }

    /// The addresses of the relays for runners, the preferred one first.
    pub(crate) fn base_addresses(&self) -> Vec<String> {
        self.shared.state.lock().base_addresses()
    }

    /// The same for one runner, each address with its path.
    pub(crate) fn addresses(&self, runner: RunnerRef) -> Vec<String> {
        self.base_addresses().iter().map(|base| address_for(base, runner)).collect()
    }

    /// Changes when the addresses do.
    pub(crate) fn changes(&self) -> watch::Receiver<Vec<String>> {
        self.shared.addresses.subscribe()
    }

    /// The reason why a runner could not connect, if this parent knows it.
    pub(crate) fn problem(&self, runner: RunnerRef) -> Option<String> {
        if let Some(max) = self.shared.state.lock().rejection(runner) {
            return Some(format!("the relay accepts at most {max} runners of one parent"));
        }
        no_connection(&self.shared.attempts.borrow(), &self.shared.urls)
    }
}

/// Why this parent is connected to none of its relays. `None` if it is connected to one: then a
/// runner can connect there.
fn no_connection(attempts: &[Attempt], urls: &[String]) -> Option<String> {
    if attempts.iter().any(Attempt::is_connected) {
        return None;
    }
    let reasons: Vec<_> = attempts
        .iter()
        .zip(urls)
        .filter_map(|(attempt, url)| match attempt {
            Attempt::Failed(end) => Some(format!("{url}: {}", Chain(end))),
            Attempt::Pending | Attempt::Connected => None,
        })
        .collect();
    let reasons = reasons.join("; ");
    (!reasons.is_empty()).then(|| format!("this parent has no connection to it ({reasons})"))
}

impl ClientShared {
    pub(super) fn new(urls: &[String], key: &RelayKey, sockets: mpsc::Sender<NewSocket>) -> Self {
        let state = RelayClientState::new(Instant::now().into_std(), urls);
        Self {
            urls: urls.to_vec(),
            key: key.clone(),
            addresses: watch::Sender::new(state.base_addresses()),
            state: Mutex::new(state),
            to_send: urls.iter().map(|_| Notify::new()).collect(),
            attempts: watch::Sender::new(vec![Attempt::Pending; urls.len()]),
            sockets,
        }
    }

    /// Lets a runner connect through the relays.
    pub(super) fn register(&self, runner: RunnerRef) {
        self.state.lock().register(runner);
        self.to_send.iter().for_each(Notify::notify_one);
    }

    /// The runner will not connect again.
    pub(super) fn unregister(&self, runner: RunnerRef) {
        self.state.lock().unregister(runner);
        self.to_send.iter().for_each(Notify::notify_one);
    }

    /// Changes the state of a relay's connection, and publishes the addresses if they have changed.
    pub(super) fn change(&self, change: impl FnOnce(&mut RelayClientState, std::time::Instant)) {
        let mut state = self.state.lock();
        change(&mut state, Instant::now().into_std());
        let addresses = state.base_addresses();
        self.addresses.send_if_modified(|known| {
            let is_changed = *known != addresses;
            *known = addresses;
            is_changed
        });
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&RelayClientState) -> R) -> R {
        read(&self.state.lock())
    }

    pub(super) fn poll_send(&self, relay: RelayIndex) -> Option<ParentToRelay> {
        self.state.lock().poll_send(Instant::now().into_std(), relay)
    }

    pub(super) fn url(&self, relay: RelayIndex) -> &str {
        self.urls.get(relay.0).map_or("", String::as_str)
    }

    /// A relay is connected.
    pub(super) fn attempt_succeeded(&self, relay: RelayIndex) {
        self.record(relay, Attempt::Connected);
    }

    /// A relay is not connected, or not any more. Returns whether it was before, or is tried for
    /// the first time.
    pub(super) fn attempt_failed(&self, relay: RelayIndex, end: Arc<RelayConnectionEnd>) -> bool {
        !matches!(self.record(relay, Attempt::Failed(end)), Some(Attempt::Failed(_)))
    }

    fn record(&self, relay: RelayIndex, attempt: Attempt) -> Option<Attempt> {
        let mut previous = None;
        self.attempts.send_modify(|attempts| {
            if let Some(known) = attempts.get_mut(relay.0) {
                previous = Some(std::mem::replace(known, attempt));
            }
        });
        previous
    }
}

impl Attempt {
    fn is_connected(&self) -> bool {
        matches!(self, Attempt::Connected)
    }

    fn is_rejected_key(&self) -> bool {
        matches!(self, Attempt::Failed(end) if end.is_rejected_key())
    }
}

impl Listener {
    /// The client of these relays, once one of them is connected.
    pub(crate) async fn connect_to(&self, relay: &Relay) -> Result<Arc<RelayClient>, PoolError> {
        let (urls, key) = relay.check().map_err(|why| PoolError::Option {
            option: "relay",
            why,
            others: Vec::new(),
        })?;
        let client = self.relays().client(self, urls, key);
        client.connected().await?;
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_one_relay_is_enough_and_without_one_each_reason_is_given() {
        let urls = ["ws://a".to_owned(), "ws://b".to_owned()];
        let (silent, draining) = (RelayConnectionEnd::Silent, RelayConnectionEnd::Draining);
        let failed = [silent, draining].map(|end| Attempt::Failed(Arc::new(end)));
        for connected in 0..2 {
            let mut attempts = failed.clone();
            attempts[connected] = Attempt::Connected;
            assert_eq!(no_connection(&attempts, &urls), None);
        }
        let why = no_connection(&failed, &urls).unwrap();
        assert!(why.contains("ws://a: ") && why.contains("; ws://b: "), "{why}");
        assert_eq!(no_connection(&[Attempt::Pending, Attempt::Pending], &urls), None);
    }
}
