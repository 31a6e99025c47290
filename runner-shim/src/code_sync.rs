//! A runner of another build becomes its parent's executable.
//!
//! ```text
//! offer ─▶ for this host? ─▶ in the cache, whole? ──no──▶ fetch ─▶ draft ─▶ length, hash ─▶ rename
//!                                   │ yes                                                     │
//!                                   └──────────────▶ hash what was opened ─▶ exec it ◀────────┘
//! ```
//!
//! The new program has the same process id, arguments and environment. FLAME_PARENT and the lifeline,
//! which this one has taken out of its environment, are set again, with [`MARK_ENV`] beside them. It
//! says hello as any runner.
//!
//! # Invariants
//!
//! * Only bytes whose hash came from the parent with the pinned key are executed, and they are
//!   hashed through the very file descriptor that is executed.
//! * A boot syncs at most once: the mark names it, so that a runner's own children may sync again.
//! * What has an executable's name was whole when it got it; what fails is told to the parent.
//!
//! # Limits
//!
//! What `main` did before `App::run` is done again by the new program. A signal that comes in the
//! very moment of the exec may be lost.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flame_link::{HelloError, Offered};
use flame_wire::code::{self, CodeHash, MAX_CODE, Offer};
use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;

mod cache;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use crate::boot_variables::boot_variables;
use cache::{Cache, Executable};

/// The variable that names the folder for fetched executables. Default: a folder of the user's own,
/// `flame-code-<user id>`, among the temporary ones.
pub const FOLDER_ENV: &str = "FLAME_CODE_DIR";
/// The variable that says that a runner was made by a sync: `<hash>/<runner>`.
pub const MARK_ENV: &str = "FLAME_SYNCED";

/// How often, and after which pause, an executable is tried that somebody has open for writing: a
/// child that is just being started may have inherited the descriptor.
const BUSY_ATTEMPTS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// Why a runner can't become its parent's executable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The parent's executable is for other machines.
    #[error(
        "the parent's executable is for {theirs}, this runner is on {ours}: run both on the same \
         kind of machine, or deploy one build for each with the same FLAME_BUILD_ID"
    )]
    OtherTarget {
        /// What the runner is on.
        ours: String,
        /// What the executable is for.
        theirs: String,
    },
    /// The executable is too large.
    #[error("the parent's executable has {len} bytes, at most {MAX_CODE} are taken: strip it")]
    TooLarge {
        /// Its length, in bytes.
        len: u64,
    },
    /// It was offered where that can't help.
    #[error("a runner of kind {0} can't become another program")]
    Host(HostKind),
    /// It was offered again to a runner that has become it.
    #[error("this runner has fetched its parent's executable already")]
    Again,
    /// The folder can't be made, or not be read.
    #[error(
        "the folder {} for fetched executables can't be used: {source}; name one that can be \
         written by FLAME_CODE_DIR", folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could put an executable into the folder.
    #[error(
        "the folder {} for fetched executables {why}: name one by FLAME_CODE_DIR that belongs to \
         this user (id {user}) and that only he may write (mode 0700)", folder.display()
    )]
    NotPrivate {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The user that the runner runs as.
        user: u32,
    },
    /// The executable can't be written.
    #[error(
        "the parent's executable ({len} bytes) can't be written into {}: {source}; make room \
         there, or name a folder that can be written by FLAME_CODE_DIR", folder.display()
    )]
    Write {
        /// The folder.
        folder: PathBuf,
        /// Its length, in bytes.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// What came, or what was written, is not what was offered.
    #[error(
        "what is in {} is not the executable that was offered, {len} bytes with the SHA-256 \
         {hash}: it was altered on its way, or its disk is broken; nothing of it is kept",
        folder.display()
    )]
    Altered {
        /// The folder.
        folder: PathBuf,
        /// The length that was offered, in bytes.
        len: u64,
        /// The hash that was offered.
        hash: CodeHash,
    },
    /// The system does not execute it.
    #[error(
        "{} can't be executed: {source}; {} (FLAME_CODE_DIR names another folder)",
        file.display(), exec_advice(source)
    )]
    Exec {
        /// The executable.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke on the way. The runner dials again.
    #[error("the connection broke while the parent's executable was fetched: {0}")]
    Cut(#[source] HelloError),
}

fn exec_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "is its folder on a file system that is mounted noexec?",
        io::ErrorKind::NotFound => {
            "the loader that it was linked for is not here: parent and runner need the same C \
             library, or a parent that is linked statically"
        }
        _ => "parent and runner need the same architecture and the same C library",
    }
}

/// How a runner may become its parent's executable.
#[derive(Debug, Clone)]
pub(crate) struct CodeSync {
    runner: RunnerRef,
    /// Why it may not.
    unable: Option<Unable>,
    folder: Option<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unable {
    Host(HostKind),
    Again,
}

impl CodeSync {
    /// As the environment has it.
    pub(crate) fn of(runner: RunnerRef, host: HostKind) -> Self {
        let mark = boot_variables().synced_mark().and_then(|mark| mark.to_str());
        let folder = std::env::var_os(FOLDER_ENV).filter(|folder| !folder.is_empty());
        Self { runner, unable: unable(runner, host, mark), folder }
    }

    /// Whether this process has been made by a sync for this boot.
    pub(crate) fn is_done(&self) -> bool {
        self.unable == Some(Unable::Again)
    }

    /// Has the executable that was offered in the cache; what is to be done with it comes next.
    /// The parent is told of it, and of failures. A future that is dropped removes its draft; a
    /// process that is killed leaves it to a later sync.
    pub(crate) async fn accept(&self, mut offered: Offered) -> Result<SyncedExecutable, SyncError> {
        match self.ensure(&mut offered).await {
            Ok(executable) => {
                // The parent loses nothing but a line of its log.
                let _ = offered.taken().await;
                let mark = format!("{}/{}", executable.hash(), self.runner);
                Ok(SyncedExecutable { executable, mark, offered })
            }
            Err(error @ SyncError::Cut(_)) => Err(error),
            Err(error) => {
                offered.failed(&error.to_string()).await;
                Err(error)
            }
        }
    }

    async fn ensure(&self, offered: &mut Offered) -> Result<Executable, SyncError> {
        match self.unable {
            Some(Unable::Host(host)) => return Err(SyncError::Host(host)),
            Some(Unable::Again) => return Err(SyncError::Again),
            None => {}
        }
        let offer = offered.offer().clone();
        check_offer(&offer)?;
        let folder = self.folder.clone();
        let cache = blocking(move || Cache::open(folder)).await?;
        let (at, wanted) = (cache.clone(), offer.clone());
        if let Some(executable) = blocking(move || at.find(&wanted)).await? {
            return Ok(executable);
        }
        tracing::info!(build = %offer.build, bytes = offer.len, "fetches its parent's executable");
        let at = cache.clone();
        let (mut draft, _draft_guard) = blocking(move || at.draft(&offer)).await?;
        offered.ask().await.map_err(SyncError::Cut)?;
        while let Some(chunk) = offered.chunk().await.map_err(SyncError::Cut)? {
            draft = blocking(move || draft.add(&chunk)).await?;
        }
        blocking(move || {
            let executable = cache.keep(draft)?;
            cache.prune(&executable);
            Ok(executable)
        })
        .await
    }
}

/// What this process is to become.
#[derive(Debug)]
pub struct SyncedExecutable {
    executable: Executable,
    mark: String,
    /// Closed by the kernel when this process is another; open to say that it can't be.
    offered: Offered,
}

impl SyncedExecutable {
    /// Becomes it; returns only where that fails. Everything of this process ends at once: what it
    /// has buffered is written out before.
    pub(crate) async fn exec(self) -> SyncError {
        crate::host::flush_stdio();
        let mut attempts = 0;
        loop {
            let error = self.executable.exec(&self.mark);
            let busy = error.kind() == io::ErrorKind::ExecutableFileBusy;
            attempts += 1;
            if !busy || attempts == BUSY_ATTEMPTS {
                let file = self.executable.path().to_owned();
                let error = SyncError::Exec { file, source: error };
                self.offered.failed(&error.to_string()).await;
                return error;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }
}

/// Whether a runner can't sync.
fn unable(runner: RunnerRef, host: HostKind, mark: Option<&str>) -> Option<Unable> {
    match host {
        HostKind::Process | HostKind::Ecs => {}
        host => return Some(Unable::Host(host)),
    }
    // One that names another runner is of another boot.
    let (_, made) = mark?.rsplit_once('/')?;
    (made == runner.to_string()).then_some(Unable::Again)
}

/// Whether the offer is for this host.
fn check_offer(offer: &Offer) -> Result<(), SyncError> {
    let ours = code::target();
    if offer.target != ours {
        return Err(SyncError::OtherTarget { ours, theirs: offer.target.clone() });
    }
    if offer.len > MAX_CODE {
        return Err(SyncError::TooLarge { len: offer.len });
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    match tokio::task::spawn_blocking(step).await {
        Ok(done) => done,
        // It panicked, or the runtime ends: either way this was not done.
        Err(error) => Err(SyncError::Cut(HelloError::Io(io::Error::other(error)))),
    }
}
