//! What runners dial: takes sockets, checks who it is, hands them to the runner's task.
//!
//! ```text
//! accept ──▶ WebSocket, TLS (10 s each) ──▶ hello (10 s) ──▶ Admission ──▶ Door of the runner
//!                                                                 └──▶ of another build: code.rs
//! ```
//!
//! Strangers cost a task each, of which there are at most [`HANDSHAKES`] at a time: one more takes
//! the place of the one that has been at it longest, so that those who dial and say nothing can't
//! keep runners out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flame_link::{Greeting, HelloError, Io, ServerKey, accept, in_memory};
use flame_runner_shim::log_writer;
use flame_wire::hello::{Hello, NoSync, Refusal};
use flame_wire::ids::BuildId;
use flame_wire::parent::HostKind;
use flame_wire::token::Token;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admission::{Admission, Admitted};
use crate::code::Code;

/// Sockets in their handshakes at a time.
const HANDSHAKES: usize = 256;
/// How long to wait when the system gives no socket (it is out of file descriptors).
const OUT_OF_SOCKETS: Duration = Duration::from_millis(100);

/// Where a runner's sockets arrive in its pool.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// What its welcomes bring.
    pub(crate) resume: Token,
    /// The first socket, and what was said on it; or why there will be none.
    pub(crate) first: mpsc::Sender<Result<(Io, Hello), Away>>,
    /// Those after it.
    pub(crate) again: mpsc::Sender<Io>,
}

/// Why a runner that has proved who it is does not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Away {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(
        "the runner is of another build, and could not become this executable (`code_sync`): {0}"
    )]
    NotSynced(String),
}

/// The pool's ear to the network; clones share it.
#[derive(Clone)]
pub(crate) struct Listener {
    key: ServerKey,
    admission: Arc<Mutex<Admission<Door>>>,
    code: Option<Code>,
}

impl Listener {
    /// `code` is what runners of another build may fetch, if they may.
    pub(crate) fn new(key: ServerKey, build: BuildId, code: Option<Code>) -> Self {
        Self { key, admission: Arc::new(Mutex::new(Admission::new(build))), code }
    }

    /// Whether a runner of this kind may fetch this executable; else why not.
    pub(crate) fn may_sync(&self, kind: HostKind) -> Result<(), NoSync> {
        match kind {
            _ if self.code.is_none() => Err(NoSync::Off),
            HostKind::Process | HostKind::Ecs => Ok(()),
            kind => Err(NoSync::Host(kind)),
        }
    }

    pub(crate) fn key(&self) -> &ServerKey {
        &self.key
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission<Door>> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes sockets for as long as it is polled.
    pub(crate) async fn run(self, socket: TcpListener) {
        let mut handshakes: VecDeque<JoinHandle<()>> = VecDeque::new();
        loop {
            match socket.accept().await {
                Ok((tcp, peer)) => {
                    handshakes.retain(|handshake| !handshake.is_finished());
                    if handshakes.len() == HANDSHAKES
                        && let Some(longest) = handshakes.pop_front()
                    {
                        longest.abort();
                    }
                    let listener = self.clone();
                    handshakes.push_back(tokio::spawn(async move {
                        if let Err(error) = tcp.set_nodelay(true) {
                            tracing::debug!(%peer, %error, "a socket is gone already");
                            return;
                        }
                        match accept(tcp, &listener.key).await {
                            Ok(io) => listener.greet(io).await,
                            Err(error) => tracing::debug!(%peer, %error, "a stranger dialled"),
                        }
                    }));
                }
                Err(error) => {
                    log_writer::event(move || {
                        tracing::warn!(%error, "the listener for runners can't take a socket");
                    });
                    tokio::time::sleep(OUT_OF_SOCKETS).await;
                }
            }
        }
    }

    /// A socket within this process.
    pub(crate) fn connect_in_memory(&self) -> Io {
        let (ours, theirs) = in_memory();
        let listener = self.clone();
        tokio::spawn(async move { listener.greet(ours).await });
        theirs
    }

    async fn greet(&self, io: Io) {
        let greeting = match Greeting::read(io).await {
            Ok(greeting) => greeting,
            Err(error) => {
                tracing::debug!(%error, "one that dialled did not say hello");
                return;
            }
        };
        let now = Instant::now().into_std();
        let admitted = self.admission().admit(now, &greeting.hello);
        let done = match admitted {
            // Its boot was given up, or its link is over: there is nothing to come back to.
            Ok(Admitted::Fetcher { keep: door, by }) => {
                if let Some(code) = self.code.clone() {
                    // Beyond the handshakes: strangers must not cut it off.
                    tokio::spawn(code.hand_over(greeting, door, by.into()));
                }
                Ok(())
            }
            Ok(Admitted::Runner(door)) if door.again.is_closed() => {
                greeting.refuse(Refusal::UnknownRunner).await
            }
            Ok(Admitted::Runner(door)) => self.let_in(greeting, door).await,
            Err(refusal) => {
                let runner = greeting.hello.runner;
                let why = refusal.clone();
                log_writer::event(
                    move || tracing::warn!(%runner, refusal = %why, "a runner is refused"),
                );
                // It proved that it is ours, so this is why its boot has failed.
                let door = self.admission().keep(runner);
                if let (Refusal::OtherBuild { .. }, Some(door)) = (&refusal, door) {
                    let _ = door.first.send(Err(refusal.clone().into())).await;
                }
                greeting.refuse(refusal).await
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, "one that dialled went before its answer");
        }
    }

    async fn let_in(&self, greeting: Greeting, door: Door) -> Result<(), HelloError> {
        let hello = greeting.hello.clone();
        let io = greeting.welcome(door.resume).await?;
        // Not before its welcome is out: one that was lost on the way is not the first.
        let first = self.admission().arrives(hello.runner);
        // If nobody waits behind the door, the boot was given up: the socket closes.
        if first {
            let _ = door.first.send(Ok((io, hello))).await;
        } else {
            let _ = door.again.send(io).await;
        }
        Ok(())
    }
}
