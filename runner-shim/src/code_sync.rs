//! A runner of another build replaces itself with its parent's executable.
//!
//! ```text
//! offer ─▶ for this host? ─▶ complete in the cache? ──no──▶ fetch ─▶ draft ─▶ length, hash ─▶ rename
//!                                   │ yes                                                     │
//!                                   └─▶ hash the open file ─▶ can it be linked? ─▶ exec it ◀──┘
//! ```
//!
//! It is fetched from the parent's code store if the parent has one and this crate's feature
//! `code-store` is on, and otherwise from the parent itself. A store that fails does not fail the
//! boot.
//!
//! The new program has the same process id, arguments and environment. The variables that this
//! process has taken out of its environment, such as FLAME_PARENT and the lifeline, are set again,
//! and FLAME_SYNCED is added. The new program says hello like any runner.
//!
//! In a Lambda invocation, only a runner with a supervisor can do this. The supervisor gives the
//! invocation's event to the new program, and passes on its response.
//!
//! # Invariants
//!
//! * Only bytes whose hash came from the parent with the pinned key are executed, and they are
//!   hashed through the very file descriptor that is executed.
//! * A boot syncs at most once. The mark names the runner, so a runner's own children may sync
//!   again.
//! * A file gets an executable's name only when it is complete; failures are reported to the
//!   parent.
//!
//! # Limits
//!
//! The new program repeats what `main` did before `App::run`. A signal that arrives at the very
//! moment of the exec may be lost.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flame_link::{CodeDownload, HelloError};
use flame_wire::code::{self, CodeHash, MAX_CODE, Offer};
use flame_wire::ids::RunnerRef;
use flame_wire::parent::HostKind;

mod cache;
#[cfg(feature = "code-store")]
mod download;
mod fetch;
#[cfg(unix)]
mod linking;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use crate::boot_variables::boot_variables;
use cache::{Cache, Executable};

/// The variable with the folder for fetched executables. Default: a folder of the user's own,
/// `flame-code-<user id>`, in the temporary folder.
pub const FOLDER_ENV: &str = "FLAME_CODE_DIR";

/// The number of attempts to execute a file that is open for writing elsewhere, and the pause
/// between them: a child that is just being started may have inherited the descriptor.
const BUSY_ATTEMPTS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// Why a runner can't become its parent's executable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The parent's executable is for another kind of machine.
    #[error(
        "the parent's executable is for {theirs}, this runner is on {ours}: run both on the same \
         kind of machine, or deploy one build for each with the same FLAME_BUILD_ID"
    )]
    OtherTarget {
        /// The runner's target.
        ours: String,
        /// The executable's target.
        theirs: String,
    },
    /// The executable is too large.
    #[error("the parent's executable has {len} bytes, and the limit is {MAX_CODE}: strip it")]
    TooLarge {
        /// Its length, in bytes.
        len: u64,
    },
    /// A runner on this kind of host can't replace its executable.
    #[error("a runner of kind {0} can't become another program")]
    Host(HostKind),
    /// The dynamic loader that the executable names is missing on this machine.
    #[error(
        "the parent's executable needs the dynamic loader {}, which is not on this machine: \
         {BUILD_STATIC}", loader.display()
    )]
    MissingLoader {
        /// The loader's path.
        loader: PathBuf,
    },
    /// `/proc` is not mounted on this machine. On Linux an executable is executed through
    /// `/proc/self/fd`.
    #[error(
        "/proc is missing on this machine, and a runner needs it to execute its parent's executable: \
         mount it (`mount -t proc proc /proc`), or let the container runtime mount it"
    )]
    MissingProc,
    /// Shared libraries that the executable needs are missing on this machine, or are too old.
    #[error(
        "the parent's executable needs shared libraries that this machine lacks ({}): install \
         them here, or {BUILD_STATIC}", missing.join("; ")
    )]
    MissingLibraries {
        /// Each library, or each version of one, as the dynamic loader names it.
        missing: Vec<String>,
    },
    /// The executable was offered again to a runner that has already become it.
    #[error(
        "this runner has already become its parent's executable, and is of another build again"
    )]
    Again,
    /// The folder can't be created or read.
    #[error(
        "the folder {} for fetched executables can't be used: {source}; set FLAME_CODE_DIR to a \
         folder that can be written", folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Other users could put an executable into the folder.
    #[error(
        "the folder {} for fetched executables {why}: set FLAME_CODE_DIR to a folder that belongs to \
         this user (id {user}) and that only this user can write (mode 0700)", folder.display()
    )]
    NotPrivate {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with the folder.
        why: String,
        /// The user that the runner runs as.
        user: u32,
    },
    /// The executable can't be written.
    #[error(
        "the parent's executable ({len} bytes) can't be written into {}: {source}; make room \
         there, or set FLAME_CODE_DIR to a folder that can be written", folder.display()
    )]
    Write {
        /// The folder.
        folder: PathBuf,
        /// Its length, in bytes.
        len: u64,
        /// The error.
        source: io::Error,
    },
    /// The received or written bytes are not those that were offered.
    #[error(
        "the file written to {} is not the executable that was offered, {len} bytes with the SHA-256 \
         {hash}: it was altered on its way, or the disk is faulty; the file is not kept",
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
    /// The system refuses to execute it.
    #[error(
        "{} can't be executed: {source}; {} (FLAME_CODE_DIR sets another folder)",
        file.display(), exec_advice(source)
    )]
    Exec {
        /// The executable.
        file: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The connection broke during the transfer. The runner connects again.
    #[error("the connection broke while the parent's executable was being fetched: {0}")]
    Cut(#[source] HelloError),
}

/// How a parent gets rid of libraries that its runners lack.
const BUILD_STATIC: &str = "link the parent statically, with \
     RUSTFLAGS=\"-C target-feature=+crt-static\" and --target for the parent's platform";

fn exec_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "is its folder on a file system that is mounted noexec?",
        io::ErrorKind::NotFound => {
            "the dynamic loader that it needs is not on this machine: parent and runner need the same \
             C library, or the parent has to be linked statically"
        }
        _ => "parent and runner need the same architecture and the same C library",
    }
}

/// Whether and how this runner may become its parent's executable.
#[derive(Debug, Clone)]
pub(crate) struct CodeSync {
    runner: RunnerRef,
    /// Why it can't.
    unable: Option<Unable>,
    folder: Option<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unable {
    Host(HostKind),
    Again,
}

impl CodeSync {
    /// As the environment says.
    pub(crate) fn of(runner: RunnerRef, host: HostKind) -> Self {
        let mark = boot_variables().synced_mark().and_then(|mark| mark.to_str());
        let folder = std::env::var_os(FOLDER_ENV).filter(|folder| !folder.is_empty());
        let supervised = boot_variables().is_supervised();
        Self { runner, unable: unable(runner, host, supervised, mark), folder }
    }

    /// Whether this process was made by a sync during this boot.
    pub(crate) fn is_done(&self) -> bool {
        self.unable == Some(Unable::Again)
    }

    /// Puts the offered executable into the cache. The caller executes it next. The parent is told
    /// of success and failure. Dropping the future removes the draft; a process that is killed
    /// leaves its draft to a later sync.
    pub(crate) async fn accept(
        &self,
        mut offered: CodeDownload,
    ) -> Result<SyncedExecutable, SyncError> {
        match self.ensure(&mut offered).await {
            Ok(executable) => {
                // If this fails, only a line in the parent's log is missing.
                let _ = offered.confirm().await;
                let mark = format!("{}/{}", executable.hash(), self.runner);
                Ok(SyncedExecutable { executable, mark, offered })
            }
            Err(error @ SyncError::Cut(_)) => Err(error),
            Err(error) => {
                offered.fail(&error.to_string()).await;
                Err(error)
            }
        }
    }

    async fn ensure(&self, offered: &mut CodeDownload) -> Result<Executable, SyncError> {
        let executable = self.find_or_fetch(offered).await?;
        blocking(move || {
            executable.check_linking()?;
            Ok(executable)
        })
        .await
    }

    async fn find_or_fetch(&self, offered: &mut CodeDownload) -> Result<Executable, SyncError> {
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
        fetch::fetch(offered, &cache, &offer).await
    }
}

/// The executable that this process is about to become.
#[derive(Debug)]
pub struct SyncedExecutable {
    executable: Executable,
    mark: String,
    /// Exec closes this connection. Until then it can report a failure.
    offered: CodeDownload,
}

impl SyncedExecutable {
    /// Becomes the executable; returns only on failure. Everything in this process ends at once, so
    /// its buffered output is flushed first.
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
                self.offered.fail(&error.to_string()).await;
                return error;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }
}

/// Why a runner can't sync, if it can't.
fn unable(
    runner: RunnerRef,
    host: HostKind,
    supervised: bool,
    mark: Option<&str>,
) -> Option<Unable> {
    match host {
        HostKind::Process | HostKind::Ecs | HostKind::Docker | HostKind::Fly => {}
        HostKind::Lambda if supervised => {}
        host => return Some(Unable::Host(host)),
    }
    // A mark with another runner is from another boot.
    let (_, made) = mark?.rsplit_once('/')?;
    (made == runner.to_string()).then_some(Unable::Again)
}

/// Checks that the offer is for this host.
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
        // The step panicked, or the runtime is shutting down.
        Err(error) => Err(SyncError::Cut(HelloError::Io(io::Error::other(error)))),
    }
}
