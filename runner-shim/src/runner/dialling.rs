//! Connects a runner to its parent: the first time with its token, after a lost connection with its
//! resume key. A parent of another build offers its executable instead, and the runner becomes it.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{CodeDownload, HelloError, HelloOutcome, Io, dial, say_hello};
use flame_wire::backoff::Backoff;
use flame_wire::error::Chain;
use flame_wire::hello::{Hello, Proof, Rejection};
use flame_wire::parent::Fingerprint;
use flame_wire::sync::{Mutex, MutexGuard};
use flame_wire::token::Token;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) use self::addresses::ParentAddresses;
use super::terminator::Event;
use crate::code_sync::{CodeSync, SyncError, SyncedExecutable};
use crate::log_writer;

mod addresses;
#[cfg(test)]
mod tests;

/// The pauses between rounds of attempts. A round tries each address once. The jitter keeps runners
/// that lost their connections together from coming back all at once.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(2)).with_jitter(0.5);

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

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Connect::Dial { addresses, .. } => f.debug_tuple("Dial").field(addresses).finish(),
            Connect::InMemory(_) => f.write_str("InMemory"),
        }
    }
}

/// What connecting led to.
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
    events: mpsc::UnboundedSender<Event>,
}

impl Dialler {
    pub(super) fn new(
        connect: Connect,
        hello: Hello,
        sync: CodeSync,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let addresses = match &connect {
            Connect::Dial { addresses, .. } => ParentAddresses::new(addresses.clone()),
            Connect::InMemory(_) => ParentAddresses::default(),
        };
        Self { connect, addresses, hello, sync, resume_key: Arc::default(), events }
    }

    /// The addresses that are tried.
    pub(super) fn addresses(&self) -> &ParentAddresses {
        &self.addresses
    }

    /// Tries until the parent admits this runner, rejects it, or has sent its executable. The
    /// caller limits the time.
    pub(super) async fn connect(&self) -> Result<ConnectOutcome, ConnectError> {
        let mut failures: u32 = 0;
        let (since, mut report_after) = (Instant::now(), FIRST_REPORT);
        loop {
            match self.round().await {
                Ok(outcome) => return Ok(outcome),
                Err(AttemptError::Final(error)) => return Err(error),
                Err(AttemptError::Retry(error)) => {
                    tracing::debug!(error, "the attempts to connect to the parent failed");
                    let tried_for = since.elapsed();
                    if tried_for >= report_after && self.resume_key().is_none() {
                        print_not_connected(tried_for, &error);
                        report_after = 2 * tried_for;
                    }
                }
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(BACKOFF.pause(failures, rand::random())).await;
        }
    }

    /// Tries each address once. The error names each address.
    async fn round(&self) -> Result<ConnectOutcome, AttemptError> {
        let fingerprint = match &self.connect {
            Connect::Dial { fingerprint, .. } => *fingerprint,
            Connect::InMemory(connect) => {
                return self.say_hello(connect().await.map_err(retry)?).await;
            }
        };
        let mut errors = Vec::new();
        for address in self.addresses.in_order() {
            match self.attempt(&address, fingerprint).await {
                Err(AttemptError::Retry(error)) => errors.push(error),
                Ok(outcome) => {
                    self.addresses.connected_at(address);
                    return Ok(outcome);
                }
                Err(error) => return Err(error),
            }
        }
        Err(AttemptError::Retry(errors.join("; ")))
    }

    async fn attempt(
        &self,
        address: &str,
        fingerprint: Fingerprint,
    ) -> Result<ConnectOutcome, AttemptError> {
        let io = dial(address, fingerprint).await.map_err(retry)?;
        self.say_hello(io).await.map_err(|error| match error {
            AttemptError::Retry(error) => {
                AttemptError::Retry(format!("the hello to the parent at {address} failed: {error}"))
            }
            error => error,
        })
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
    Retry(String),
}

fn retry(error: impl std::error::Error + 'static) -> AttemptError {
    AttemptError::Retry(Chain(&error).to_string())
}
