//! How a runner reaches its parent: the first time by its token, after a cut by the resume key; or
//! how it becomes another program, which does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flame_link::{Greeted, HelloError, Io, Offered, dial, greet};
use flame_wire::backoff::Backoff;
use flame_wire::hello::{Hello, Proof, Refusal};
use flame_wire::parent::Fingerprint;
use flame_wire::token::Token;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::terminator::Event;
use crate::code_sync::{CodeSync, SyncError, SyncedExecutable};
use crate::log_writer;

/// The pauses between attempts to connect. The jitter keeps runners that lost their connections
/// together from coming back all at once.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(2)).with_jitter(0.5);

/// A runner that is not let in complains after so long, and then each time that has doubled. What
/// it prints last is what its parent shows when it gives the boot up.
const FIRST_REPORT: Duration = Duration::from_secs(1);

/// Where a runner's sockets come from.
#[derive(Clone)]
pub enum Connect {
    /// Dial the parent's listener.
    Dial {
        /// `ws://host:port`, or `wss://`.
        address: String,
        /// The parent's key.
        fingerprint: Fingerprint,
    },
    /// Within the parent's process.
    InMemory(Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Io>> + Send + Sync>),
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Connect::Dial { address, .. } => f.debug_tuple("Dial").field(address).finish(),
            Connect::InMemory(_) => f.write_str("InMemory"),
        }
    }
}

/// Where dialling has led.
pub(crate) enum DialOutcome {
    /// The runner is let in.
    Connected(Io),
    /// It is to become its parent's executable.
    CodeSynced(SyncedExecutable),
}

/// Why dialling is over.
pub(crate) enum DialError {
    /// The parent refuses the runner.
    Refused(Refusal),
    /// The runner can't become what its parent offers.
    NotSynced(SyncError),
}

#[derive(Clone)]
pub(crate) struct Dialler {
    connect: Connect,
    hello: Hello,
    sync: CodeSync,
    resume: Arc<Mutex<Option<Token>>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Dialler {
    pub(crate) fn new(
        connect: Connect,
        hello: Hello,
        sync: CodeSync,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self { connect, hello, sync, resume: Arc::default(), events }
    }

    /// Dials until the parent lets this runner in, or refuses it, or has given it its executable.
    /// Whoever calls this bounds it.
    pub(crate) async fn connect(&self) -> Result<DialOutcome, DialError> {
        let mut failures: u32 = 0;
        let (since, mut report_after) = (Instant::now(), FIRST_REPORT);
        loop {
            match self.attempt().await {
                Ok(outcome) => return Ok(outcome),
                Err(AttemptError::Final(why)) => return Err(why),
                Err(AttemptError::Retry(why)) => {
                    tracing::debug!(why, "the parent is not outcome yet");
                    let tried = since.elapsed();
                    if tried >= report_after && self.key().is_none() {
                        report_unreached(tried, &why);
                        report_after = 2 * tried;
                    }
                }
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(BACKOFF.pause(failures, rand::random())).await;
        }
    }

    async fn attempt(&self) -> Result<DialOutcome, AttemptError> {
        let io = match &self.connect {
            Connect::Dial { address, fingerprint } => {
                dial(address, *fingerprint).await.map_err(retry)?
            }
            Connect::InMemory(connect) => connect().await.map_err(retry)?,
        };
        let mut hello = self.hello.clone();
        if let Some(key) = self.key().clone() {
            hello.proof = Proof::Again(key);
        }
        // Ahead of the hello, so that it is known before the hello is.
        let _ = self.events.send(Event::HelloSent);
        match greet(io, &hello).await {
            Ok(Greeted::In(io, resume)) => {
                *self.key() = Some(resume);
                Ok(DialOutcome::Connected(io))
            }
            Ok(Greeted::Offered(offered)) => self.sync(offered).await,
            Err(HelloError::Refused(refusal)) => {
                Err(AttemptError::Final(DialError::Refused(refusal)))
            }
            Err(error) => Err(retry(error)),
        }
    }

    async fn sync(&self, offered: Offered) -> Result<DialOutcome, AttemptError> {
        let _ = self.events.send(Event::CodeOffered);
        match self.sync.accept(offered).await {
            Ok(synced) => Ok(DialOutcome::CodeSynced(synced)),
            // The next dial may bring all of it.
            Err(error @ SyncError::Cut(_)) => Err(retry(error)),
            Err(error) => Err(AttemptError::Final(DialError::NotSynced(error))),
        }
    }

    fn key(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.resume.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody else is there to be told: the log goes to the parent.
fn report_unreached(tried: Duration, why: &str) {
    let tried = tried.as_secs();
    log_writer::print_line(format!("flame: not with the parent after {tried} s: {why}"));
}

enum AttemptError {
    Final(DialError),
    Retry(String),
}

fn retry(error: impl std::error::Error) -> AttemptError {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        why = format!("{why}: {error}");
        source = error.source();
    }
    AttemptError::Retry(why)
}
