//! Accepts the sockets of runners: does the handshakes, authenticates each runner, and hands the
//! socket to the runner's task.
//!
//! ```text
//! tcp.rs ────────▶ WebSocket (10 s) ─┐
//! crate::relay ──────────────────────┴─▶ TLS (10 s) ─┐
//!                                                    ├─▶ hello (10 s) ──▶ Admission ──▶ SocketInbox
//! in memory ─────────────────────────────────────────┘               └──▶ another build: code.rs
//! ```
//!
//! All pools of a runtime share one listener, and pools with the same `listen` share one TCP
//! socket. Which pool a socket belongs to is known once its runner has said its ref.
//!
//! Each new socket costs one task. At most [`MAX_HANDSHAKES`] sockets of one source are in their
//! handshakes at a time: one more replaces the oldest, so that clients that connect and send
//! nothing can't keep runners out.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use flame_link::{HelloError, IncomingHello, Io, ServerKey, accept, accept_tls, in_memory};
use flame_runner_shim::log_writer;
use flame_wire::hello::Rejection;
use flame_wire::ids::BuildId;
use flame_wire::sync::{Mutex, MutexGuard};
use futures_util::{Stream, StreamExt, stream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admission::{Admission, Admitted};
use crate::inbox::SocketInbox;
use crate::metrics::{PROCESS, RefusedAt};
use crate::relay::RelayClients;

mod endpoint;
mod of_runtime;
mod tcp;
#[cfg(test)]
mod tests;

pub(crate) use endpoint::{AddressChanges, Endpoint};

use tcp::TcpSources;

/// How many sockets of one source may be in their handshakes at a time.
const MAX_HANDSHAKES: usize = 256;

/// Connects runners with their tasks. Clones share one state.
#[derive(Clone)]
pub(crate) struct Listener {
    shared: Arc<ListenerShared>,
}

/// The state that the clones of a listener share.
struct ListenerShared {
    key: ServerKey,
    admission: Mutex<Admission<SocketInbox>>,
    tcp: TcpSources,
    relays: RelayClients,
}

/// A socket that a client has opened, and the handshakes that it still needs.
pub(crate) enum NewSocket {
    /// From the network: needs WebSocket and TLS.
    Tcp(Io),
    /// From a relay, which has done the WebSocket handshake with the runner: needs TLS.
    Relayed(Io),
    /// From this process: needs no handshake.
    InMemory(Io),
}

impl Listener {
    pub(crate) fn new(key: ServerKey, build: BuildId) -> Self {
        let admission = Mutex::new(Admission::new(build));
        let (tcp, relays) = (TcpSources::default(), RelayClients::default());
        Self { shared: Arc::new(ListenerShared { key, admission, tcp, relays }) }
    }

    pub(crate) fn key(&self) -> &ServerKey {
        &self.shared.key
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission<SocketInbox>> {
        self.shared.admission.lock()
    }

    /// The connections to relays.
    pub(crate) fn relays(&self) -> &RelayClients {
        &self.shared.relays
    }

    /// Serves every socket of `sockets`, until the stream ends or the future is dropped. A socket
    /// that fails its handshakes affects no other.
    pub(crate) async fn serve(self, sockets: impl Stream<Item = NewSocket>) {
        let mut sockets = pin!(sockets);
        let mut handshakes: VecDeque<JoinHandle<()>> = VecDeque::new();
        while let Some(socket) = sockets.next().await {
            handshakes.retain(|handshake| !handshake.is_finished());
            if handshakes.len() == MAX_HANDSHAKES
                && let Some(oldest) = handshakes.pop_front()
            {
                oldest.abort();
            }
            let listener = self.clone();
            handshakes.push_back(tokio::spawn(async move { listener.handle(socket).await }));
        }
    }

    /// Opens a socket within this process, and returns the runner's end.
    pub(crate) fn connect_in_memory(&self) -> Io {
        let (ours, theirs) = in_memory();
        let socket = NewSocket::InMemory(ours);
        tokio::spawn(self.clone().serve(stream::once(async { socket })));
        theirs
    }

    async fn handle(&self, socket: NewSocket) {
        let accepted = match socket {
            NewSocket::InMemory(io) => Ok(io),
            NewSocket::Relayed(io) => accept_tls(io, self.key()).await,
            NewSocket::Tcp(io) => accept(io, self.key()).await,
        };
        let io = match accepted {
            Ok(io) => io,
            Err(error) => {
                PROCESS.refused_clients.add_one(RefusedAt::Handshake);
                return tracing::debug!(%error, "a client is not a runner");
            }
        };
        let incoming = match IncomingHello::read(io).await {
            Ok(incoming) => incoming,
            Err(error) => {
                PROCESS.refused_clients.add_one(RefusedAt::Hello);
                return tracing::debug!(%error, "a client did not send a hello");
            }
        };
        if let Err(error) = self.reply(incoming).await {
            tracing::debug!(%error, "a client disconnected before it received the reply");
        }
    }

    async fn reply(&self, incoming: IncomingHello) -> Result<(), HelloError> {
        let now = Instant::now().into_std();
        let admitted = self.admission().admit(now, &incoming.hello);
        match admitted {
            Ok(Admitted::Runner(inbox)) if inbox.next.is_closed() => {
                // The boot was given up, or the link has ended: no task waits for the socket.
                incoming.reject(Rejection::UnknownRunner).await
            }
            Ok(Admitted::Runner(inbox)) => self.welcome(incoming, inbox).await,
            Ok(Admitted::NeedsCode { inbox, until }) => {
                if let Some(code) = inbox.code.clone() {
                    // Not part of the handshakes: a flood of clients must not abort the transfer.
                    tokio::spawn(code.upload(incoming, inbox, until.into()));
                }
                Ok(())
            }
            Err(rejection) => self.reject(incoming, rejection).await,
        }
    }

    async fn welcome(&self, incoming: IncomingHello, inbox: SocketInbox) -> Result<(), HelloError> {
        let hello = incoming.hello.clone();
        let io = incoming.welcome(inbox.resume).await?;
        // After the welcome is out: a socket that broke before does not count as the first.
        let is_first = self.admission().record_socket(hello.runner);
        // If no task receives the socket, the boot was given up, and dropping the socket closes it.
        if is_first {
            let _ = inbox.first.send(Ok((io, hello))).await;
        } else {
            let _ = inbox.next.send(io).await;
        }
        Ok(())
    }

    async fn reject(
        &self,
        incoming: IncomingHello,
        rejection: Rejection,
    ) -> Result<(), HelloError> {
        PROCESS.refused_clients.add_one(RefusedAt::Admission);
        let runner = incoming.hello.runner;
        let reason = rejection.clone();
        log_writer::event(move || tracing::warn!(%runner, %reason, "rejected a runner"));
        if let Rejection::OtherBuild { .. } = rejection {
            // The runner has shown its token, so this is why its boot fails.
            let inbox = self.admission().inbox(runner);
            if let Some(inbox) = inbox {
                let _ = inbox.first.send(Err(rejection.clone().into())).await;
            }
        }
        incoming.reject(rejection).await
    }
}
