//! Connects a runner to its parent: the first time with its token, after a lost connection with its
//! resume key. A parent of another build offers its executable instead, and the runner becomes it.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{
    Attempts, CodeDownload, DialError, HelloError, HelloOutcome, Io, dial, say_hello,
};
use flame_wire::backoff::Backoff;
use flame_wire::error::Chain;
use flame_wire::hello::{Hello, Proof, Rejection};
use flame_wire::parent::{Fingerprint, FlameParent};
use flame_wire::sync::{Mutex, MutexGuard};
use flame_wire::token::Token;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) use self::addresses::ParentAddresses;
use self::pauses::{BACKOFF, backoff_at_relay};
use super::terminator::Event;
use crate::code_sync::{CodeSync, SyncError, SyncedExecutable};
use crate::log_writer;

mod addresses;
mod pauses;
#[cfg(test)]
mod tests;

/// How long an address has to answer until the next one is tried as well.
const HEAD_START: Duration = Duration::from_secs(1);
/// A runner that has not been admitted prints the reason after this time, and again each time the
/// time has doubled. The parent shows the last printed line when it gives up on the boot.
const FIRST_REPORT: Duration = Duration::from_secs(1);

/// How a runner reaches its parent.
#[derive(Clone)]
pub enum Connect {
    /// Over the network: the parent's listener.
    Dial {
        /// The parent's addresses, the preferred one first.
        addresses: Vec<String>,
        /// Fingerprint of the parent's key.
        fingerprint: Fingerprint,
    },
    /// Within the parent's process.
    InMemory(Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Io>> + Send + Sync>),
}

impl Connect {
    /// Over the network, to this parent.
    #[must_use]
    pub fn dial(parent: &FlameParent) -> Self {
        Self::Dial { addresses: parent.addresses.clone(), fingerprint: parent.fingerprint }
    }
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Connect::Dial { addresses, .. } => f.debug_tuple("Dial").field(addresses).finish(),
            Connect::InMemory(_) => f.write_str("InMemory"),
        }
    }
}

/// The outcome of connecting.
pub(super) enum ConnectOutcome {
    /// The parent has admitted the runner.
    Connected(Io),
    /// This process has to become its parent's executable.
    CodeSynced(SyncedExecutable),
}

/// Why the runner stopped trying to connect.
pub(super) enum ConnectError {
    /// The parent rejected the runner.
    Rejected(Rejection),
    /// The runner can't become the executable that its parent offers.
    NotSynced(SyncError),
}

#[derive(Clone)]
pub(super) struct Dialler {
    connect: Connect,
    addresses: ParentAddresses,
    hello: Hello,
    sync: CodeSync,
    resume_key: Arc<Mutex<Option<Token>>>,
    /// The pauses if a relay answers that the parent is not there.
    at_relay: Backoff,
    events: mpsc::UnboundedSender<Event>,
}

impl Dialler {
    pub(super) fn new(
        connect: Connect,
        hello: Hello,
        sync: CodeSync,
        reconnect_timeout: Duration,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let addresses = match &connect {
            Connect::Dial { addresses, .. } => ParentAddresses::new(addresses.clone()),
            Connect::InMemory(_) => ParentAddresses::default(),
        };
        let (resume_key, at_relay) = (Arc::default(), backoff_at_relay(reconnect_timeout));
        Self { connect, addresses, hello, sync, resume_key, at_relay, events }
    }

    /// The addresses that are tried.
    pub(super) fn addresses(&self) -> &ParentAddresses {
        &self.addresses
    }

    /// Tries until the parent admits this runner, rejects it, or has sent its executable. The
    /// caller limits the time.
    pub(super) async fn connect(&self) -> Result<ConnectOutcome, ConnectError> {
        let mut attempts =
            Attempts::new(self.targets(), HEAD_START, |address| Box::pin(self.dial(address)));
        let (since, mut report_after) = (Instant::now(), FIRST_REPORT);
        loop {
            let (index, dialled) = attempts.next().await;
            let outcome = match dialled {
                Ok(io) => self.say_hello(io).await.map_err(|error| match error {
                    AttemptError::Retry(failure) => {
                        AttemptError::Retry(failure.in_hello_at(attempts.address(index)))
                    }
                    error => error,
                }),
                Err(failure) => Err(AttemptError::Retry(failure)),
            };
            match outcome {
                Ok(outcome) => {
                    self.addresses.connected_at(attempts.address(index).to_owned());
                    return Ok(outcome);
                }
                Err(AttemptError::Final(error)) => return Err(error),
                Err(AttemptError::Retry(FailedAttempt { error, backoff })) => {
                    tracing::debug!(error, "an attempt to connect to the parent failed");
                    attempts.failed(index, error, |n| backoff.pause(n, rand::random()));
                }
            }
            let tried_for = since.elapsed();
            if tried_for >= report_after && self.resume_key().is_none() {
                print_not_connected(tried_for, &attempts.errors());
                report_after = 2 * tried_for;
            }
        }
    }

    /// The addresses to dial, in order.
    fn targets(&self) -> Vec<String> {
        match self.connect {
            Connect::Dial { .. } => self.addresses.in_order(),
            Connect::InMemory(_) => vec!["memory".to_owned()],
        }
    }

    async fn dial(&self, address: String) -> Result<Io, FailedAttempt> {
        match &self.connect {
            Connect::Dial { fingerprint, .. } => {
                dial(&address, *fingerprint).await.map_err(|error| {
                    let backoff = if is_parent_elsewhere(&error) { self.at_relay } else { BACKOFF };
                    FailedAttempt { backoff, ..FailedAttempt::new(error) }
                })
            }
            Connect::InMemory(connect) => connect().await.map_err(FailedAttempt::new),
        }
    }

    async fn say_hello(&self, io: Io) -> Result<ConnectOutcome, AttemptError> {
        let mut hello = self.hello.clone();
        if let Some(key) = self.resume_key().clone() {
            hello.proof = Proof::ResumeKey(key);
        }
        // Sent before the hello, so that the terminator never learns of it later than the parent.
        let _ = self.events.send(Event::HelloSent);
        match say_hello(io, &hello).await {
            Ok(HelloOutcome::Welcomed(io, key)) => {
                *self.resume_key() = Some(key);
                Ok(ConnectOutcome::Connected(io))
            }
            Ok(HelloOutcome::CodeOffered(offered)) => self.sync(offered).await,
            Err(HelloError::Rejected(rejection)) => {
                Err(AttemptError::Final(ConnectError::Rejected(rejection)))
            }
            Err(error) => Err(retry(error)),
        }
    }

    async fn sync(&self, offered: CodeDownload) -> Result<ConnectOutcome, AttemptError> {
        let _ = self.events.send(Event::CodeOffered);
        match self.sync.accept(offered).await {
            Ok(synced) => Ok(ConnectOutcome::CodeSynced(synced)),
            // The next attempt fetches it again.
            Err(error @ SyncError::Cut(_)) => Err(retry(error)),
            Err(error) => Err(AttemptError::Final(ConnectError::NotSynced(error))),
        }
    }

    fn resume_key(&self) -> MutexGuard<'_, Option<Token>> {
        self.resume_key.lock()
    }
}

/// Printed rather than logged: the log goes to the parent, over the link that is missing.
fn print_not_connected(tried_for: Duration, error: &str) {
    let seconds = tried_for.as_secs();
    log_writer::print_line(format!(
        "flame-aws: this runner could not connect to its parent for {seconds} s, and retries: \
         {error}"
    ));
}

enum AttemptError {
    Final(ConnectError),
    Retry(FailedAttempt),
}

struct FailedAttempt {
    error: String,
    /// The pauses until the next attempt at the same address.
    backoff: Backoff,
}

impl FailedAttempt {
    fn new(error: impl std::error::Error + 'static) -> Self {
        Self { error: Chain(&error).to_string(), backoff: BACKOFF }
    }

    fn in_hello_at(self, address: &str) -> Self {
        let error = format!("the hello to the parent at {address} failed: {}", self.error);
        Self { error, ..self }
    }
}

fn retry(error: impl std::error::Error + 'static) -> AttemptError {
    AttemptError::Retry(FailedAttempt::new(error))
}

/// Whether a relay has answered that it does not know this runner (404), that it is draining (503),
/// or that the parent has left or did not respond (504).
fn is_parent_elsewhere(error: &DialError) -> bool {
    matches!(error, DialError::UpgradeRejected { status: 404 | 503 | 504, .. })
}
