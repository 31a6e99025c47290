//! How a runner reaches its parent: the first time by its token, after a cut by the resume key; or
//! how it becomes another program, which does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flame_link::{CodeDownload, HelloError, HelloOutcome, Io, dial, say_hello};
use flame_wire::backoff::Backoff;
use flame_wire::hello::{Hello, Proof, Rejection};
use flame_wire::parent::Fingerprint;
use flame_wire::token::Token;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::code_sync::{CodeSync, SyncError, Synced};
use crate::lines;
use crate::terminator::Event;

/// The pauses between attempts to connect. The jitter keeps runners that lost their connections
/// together from coming back all at once.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(2)).with_jitter(0.5);

/// A runner that is not let in complains after so long, and then each time that has doubled. What
/// it prints last is what its parent shows when it gives the boot up.
const COMPLAIN: Duration = Duration::from_secs(1);

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
pub(crate) enum Reached {
    /// The runner is let in.
    Parent(Io),
    /// It is to become its parent's executable.
    Code(Synced),
}

/// Why dialling is over.
pub(crate) enum Unreached {
    /// The parent refuses the runner.
    Refused(Rejection),
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
    pub(crate) async fn reach(&self) -> Result<Reached, Unreached> {
        let mut failures: u32 = 0;
        let (since, mut complain) = (Instant::now(), COMPLAIN);
        loop {
            match self.attempt().await {
                Ok(reached) => return Ok(reached),
                Err(Failed::For(why)) => return Err(why),
                Err(Failed::Tried(why)) => {
                    tracing::debug!(why, "the parent is not reached yet");
                    let tried = since.elapsed();
                    if tried >= complain && self.key().is_none() {
                        complaint(tried, &why);
                        complain = 2 * tried;
                    }
                }
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(BACKOFF.pause(failures, rand::random())).await;
        }
    }

    async fn attempt(&self) -> Result<Reached, Failed> {
        let io = match &self.connect {
            Connect::Dial { address, fingerprint } => {
                dial(address, *fingerprint).await.map_err(tried)?
            }
            Connect::InMemory(connect) => connect().await.map_err(tried)?,
        };
        let mut hello = self.hello.clone();
        if let Some(key) = self.key().clone() {
            hello.proof = Proof::ResumeKey(key);
        }
        // Ahead of the hello, so that it is known before the hello is.
        let _ = self.events.send(Event::HelloSent);
        match say_hello(io, &hello).await {
            Ok(HelloOutcome::Welcomed(io, resume)) => {
                *self.key() = Some(resume);
                Ok(Reached::Parent(io))
            }
            Ok(HelloOutcome::CodeOffered(offered)) => self.sync(offered).await,
            Err(HelloError::Rejected(refusal)) => Err(Failed::For(Unreached::Refused(refusal))),
            Err(error) => Err(tried(error)),
        }
    }

    async fn sync(&self, offered: CodeDownload) -> Result<Reached, Failed> {
        let _ = self.events.send(Event::CodeOffered);
        match self.sync.accept(offered).await {
            Ok(synced) => Ok(Reached::Code(synced)),
            // The next dial may bring all of it.
            Err(error @ SyncError::Cut(_)) => Err(tried(error)),
            Err(error) => Err(Failed::For(Unreached::NotSynced(error))),
        }
    }

    fn key(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.resume.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody else is there to be told: the log goes to the parent.
fn complaint(tried: Duration, why: &str) {
    let tried = tried.as_secs();
    lines::say(format!("flame: not with the parent after {tried} s: {why}"));
}

enum Failed {
    For(Unreached),
    Tried(String),
}

fn tried(error: impl std::error::Error) -> Failed {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        why = format!("{why}: {error}");
        source = error.source();
    }
    Failed::Tried(why)
}
