//! Drives one control connection: connects, sends and receives, and opens a socket for each runner
//! that waits at the relay.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{
    Attempts, RelayDialError, RelayMessage, RelaySocket, RelaySocketError, dial_relay,
};
use flame_runner_shim::log_writer;
use flame_wire::backoff::Backoff;
use flame_wire::error::{Chain, DecodeError, EncodeError};
use flame_wire::ids::RunnerRef;
use flame_wire::relay::{PARENT_PATH, RelayToParent, SOCKET_PATH, Ticket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::client::ClientShared;
use super::state::RelayIndex;
use crate::listener::NewSocket;

/// How long the relay may take to send its Welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a relay is pinged.
const PING: Duration = Duration::from_secs(5);
/// A connection is lost when nothing has arrived for this long.
const SILENCE: Duration = Duration::from_secs(15);
/// How long the likeliest address of a node has until the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// The pauses between the attempts at one address of a node.
const SOCKET_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).with_jitter(0.5);
/// The longest time in which a socket to a runner is opened, even if a relay says more.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How many sockets to runners may be opened at a time.
const MAX_OPENING: usize = 256;

/// Why a control connection has ended, or was never there.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayConnectionEnd {
    #[error(transparent)]
    Dial(#[from] RelayDialError),
    #[error(transparent)]
    Lost(#[from] RelaySocketError),
    #[error("the relay sent no welcome within {} s", WELCOME_TIMEOUT.as_secs())]
    NoWelcome,
    #[error("the relay sent a message of another protocol")]
    Received(#[from] DecodeError),
    #[error("a message to the relay can't be encoded")]
    Sent(#[from] EncodeError),
    #[error("the relay was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the relay is about to exit")]
    Draining,
}

impl RelayConnectionEnd {
    pub(super) fn is_rejected_key(&self) -> bool {
        matches!(self, RelayConnectionEnd::Dial(RelayDialError::KeyRejected))
    }
}

/// Keeps the control connection to a relay, for ever.
pub(super) async fn run(client: Arc<ClientShared>, relay: RelayIndex) {
    let mut connection = RelayConnection { client, relay, opening: JoinSet::new() };
    loop {
        let attempt_at = connection.client.read(|state| state.attempt_at(relay));
        if let Some(attempt_at) = attempt_at {
            sleep_until(attempt_at.into()).await;
        }
        let Err(end) = connection.connect_and_serve().await;
        connection.ended(end);
    }
}

/// The control connection to one relay.
struct RelayConnection {
    client: Arc<ClientShared>,
    relay: RelayIndex,
    /// The sockets to runners that are being opened.
    opening: JoinSet<()>,
}

impl RelayConnection {
    async fn connect_and_serve(&mut self) -> Result<std::convert::Infallible, RelayConnectionEnd> {
        let relay = self.relay;
        self.client.change(|state, _| state.connecting(relay));
        let url = self.client.url(relay);
        let socket = dial_relay(url, PARENT_PATH, self.client.key.as_str()).await?;
        self.serve(socket).await
    }

    /// Serves a new socket until the connection ends.
    async fn serve(
        &mut self,
        mut socket: RelaySocket,
    ) -> Result<std::convert::Infallible, RelayConnectionEnd> {
        let relay = self.relay;
        let address = timeout(WELCOME_TIMEOUT, welcome(&mut socket))
            .await
            .map_err(|_| RelayConnectionEnd::NoWelcome)??;
        let address = address.filter(|address| self.is_usable(address));
        self.client.change(|state, now| state.connected(now, relay, address));
        self.client.attempt_succeeded(relay);
        tracing::debug!(url = self.client.url(relay), "connected to a relay");
        self.exchange_messages(socket).await
    }

    /// Whether clients can connect at the own address of a relay's node. If not, the relay's URL
    /// takes its place.
    fn is_usable(&self, address: &str) -> bool {
        let Err(why) = super::check_url(address) else { return true };
        let (url, address) = (self.client.url(self.relay).to_owned(), address.to_owned());
        log_writer::event(move || {
            tracing::warn!(
                url,
                ?address,
                "the relay's own address {why}, so its URL is used: set the relay's --address to \
                 ws://host:port or wss://host:port, without a path"
            );
        });
        false
    }

    async fn exchange_messages(
        &mut self,
        mut socket: RelaySocket,
    ) -> Result<std::convert::Infallible, RelayConnectionEnd> {
        let (client, relay) = (self.client.clone(), self.relay);
        let to_send = async || match client.to_send.get(relay.0) {
            Some(to_send) => to_send.notified().await,
            None => std::future::pending().await,
        };
        let mut heard = Instant::now();
        let mut ping_at = heard + PING;
        loop {
            while let Some(message) = client.poll_send(relay) {
                socket.send(message.encode()?).await?;
            }
            let renew_at = client.read(|state| state.renew_at(relay));
            let renewal = async {
                match renew_at {
                    Some(renew_at) => sleep_until(renew_at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = socket.recv() => {
                    heard = Instant::now();
                    if let RelayMessage::Binary(bytes) = received? {
                        self.receive(RelayToParent::decode(&bytes)?)?;
                    }
                }
                () = to_send() => {}
                () = renewal => {}
                () = sleep_until(ping_at.min(heard + SILENCE)) => {
                    if heard.elapsed() >= SILENCE {
                        return Err(RelayConnectionEnd::Silent);
                    }
                    ping_at = Instant::now() + PING;
                    socket.ping().await?;
                }
            }
        }
    }

    fn receive(&mut self, message: RelayToParent) -> Result<(), RelayConnectionEnd> {
        match message {
            RelayToParent::RunnerWaiting { runner, ticket, within_ms } => {
                self.open_socket(runner, ticket, Duration::from_millis(within_ms));
            }
            RelayToParent::Draining { .. } => return Err(RelayConnectionEnd::Draining),
            RelayToParent::Rejected { runners, max_runners } => {
                self.client.change(|state, _| state.rejected(self.relay, &runners, max_runners));
                let (url, rejected) = (self.client.url(self.relay).to_owned(), runners.len());
                log_writer::event(move || {
                    tracing::warn!(
                        url,
                        rejected,
                        max_runners,
                        "a relay accepts no more runners of this parent"
                    );
                });
            }
            // Messages of later versions need no reaction.
            _ => {}
        }
        Ok(())
    }

    /// Opens the socket for a runner that waits, in a task of its own.
    fn open_socket(&mut self, runner: RunnerRef, ticket: Ticket, within: Duration) {
        while self.opening.try_join_next().is_some() {}
        let relay = self.relay;
        let nodes = self.client.read(|state| state.node_addresses(relay, runner));
        if nodes.is_empty() {
            return tracing::debug!(%runner, "a runner waits at a relay, but is not expected");
        }
        if self.opening.len() >= MAX_OPENING {
            return tracing::debug!(%runner, "too many runners wait at a relay");
        }
        let client = self.client.clone();
        self.opening.spawn(async move {
            match dial_node(nodes, ticket, client.key.as_str(), within).await {
                Ok((node, socket)) => {
                    client.change(|state, _| state.reached_at(relay, &node));
                    let socket = NewSocket::Relayed(socket.into_io());
                    // Fails only if the client is gone.
                    let _ = client.sockets.send(socket).await;
                }
                // The runner tries again.
                Err(error) => tracing::debug!(%runner, error, "no socket to a runner at a relay"),
            }
        });
    }

    /// Records why a connection ended, or why there was none.
    fn ended(&self, end: RelayConnectionEnd) {
        let relay = self.relay;
        let is_draining = matches!(end, RelayConnectionEnd::Draining);
        self.client.change(|state, now| {
            let random = rand::random();
            if is_draining {
                state.draining(now, relay, random);
            } else {
                state.disconnected(now, relay, random);
            }
        });
        let end = Arc::new(end);
        let url = self.client.url(relay).to_owned();
        if self.client.attempt_failed(relay, end.clone()) {
            log_writer::event(move || {
                tracing::warn!(url, reason = %Chain(&end), "no connection to a relay; retrying");
            });
        } else {
            tracing::debug!(url, reason = %Chain(&end), "still no connection to a relay");
        }
    }
}

/// Opens the socket for a ticket at the first of these addresses that leads to the ticket's node.
/// Fails, with the last error of each address, when the ticket's time is over.
///
/// An address may lead to another node each time, as behind a load balancer, so a node that does
/// not know the ticket is no reason to give up. A ticket is valid once, so no harm is done if
/// several addresses lead to its node.
async fn dial_node(
    addresses: Vec<String>,
    ticket: Ticket,
    key: &str,
    within: Duration,
) -> Result<(String, RelaySocket), String> {
    let path = format!("{SOCKET_PATH}{}", ticket.to_path());
    let path = path.as_str();
    let until = Instant::now() + within.min(MAX_WAIT);
    let mut attempts = Attempts::new(addresses, HEAD_START, |address| {
        Box::pin(async move { dial_relay(&address, path, key).await })
    });
    loop {
        match timeout_at(until, attempts.next()).await {
            Ok((index, Ok(socket))) => return Ok((attempts.address(index).to_owned(), socket)),
            Ok((index, Err(error))) => {
                let error = format!("{}: {}", attempts.address(index), Chain(&error));
                attempts.failed(index, error, |n| SOCKET_BACKOFF.pause(n, rand::random()));
            }
            Err(_) => return Err(attempts.errors()),
        }
    }
}

/// Waits for the relay's first message. Returns the address of its node, if it has one of its own.
async fn welcome(socket: &mut RelaySocket) -> Result<Option<String>, RelayConnectionEnd> {
    loop {
        let RelayMessage::Binary(bytes) = socket.recv().await? else { continue };
        if let RelayToParent::Welcome { address, .. } = RelayToParent::decode(&bytes)? {
            return Ok(address);
        }
    }
}

#[cfg(test)]
mod tests;
