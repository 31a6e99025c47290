//! This process's executable, for runners of another build. It is hashed once, and sent whenever a
//! runner asks for it. With a code store, runners download it from there if they can.
//!
//! Invariant: a transfer holds at most two chunks in memory. Each transfer reads the file anew. The
//! running file survives a rebuild; if it did change, the runner would notice the wrong hash.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
#[cfg(feature = "code-s3")]
use std::sync::Arc;

use bytes::Bytes;
use flame_link::{ChunkSource, CodeOrigin, CodeUpload, IncomingHello, UploadError, UploadOutcome};
use flame_runner_shim::log_writer;
use flame_wire::code::{CodeHash, CodeHasher, MAX_CODE, Offer, OfferReply, target};
use flame_wire::hello::NoCodeSync;
use flame_wire::ids::{BuildId, RunnerRef};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::backend::Backend;
use crate::error::CodeSyncError;
use crate::inbox::{SocketInbox, TurnedAway};

#[cfg(feature = "code-s3")]
mod store;

#[cfg(feature = "code-s3")]
pub use store::CodeStore;

/// How many bytes are read and sent at a time.
const CHUNK: usize = 256 * 1024;

/// An executable that runners may download.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    path: PathBuf,
    offer: Offer,
    #[cfg(feature = "code-s3")]
    store: Option<Arc<store::SharedStore>>,
}

impl Code {
    /// The executable of this process. The first call reads and hashes the whole file.
    pub(crate) async fn own(build: &BuildId) -> Result<Self, CodeSyncError> {
        static OWN: OnceCell<Code> = OnceCell::const_new();
        let read = async {
            let build = build.clone();
            let read = blocking(move || Ok(Self::read(own_path()?, build)));
            read.await.unwrap_or_else(|error| Err(CodeSyncError::Unreadable(error)))
        };
        OWN.get_or_try_init(|| read).await.cloned()
    }

    fn read(path: PathBuf, build: BuildId) -> Result<Self, CodeSyncError> {
        let (len, hash) = digest(&path).map_err(CodeSyncError::Unreadable)?;
        if len > MAX_CODE {
            return Err(CodeSyncError::TooLarge { len });
        }
        let offer = Offer { build, len, hash, target: target(), in_store: false };
        Ok(Self {
            path,
            offer,
            #[cfg(feature = "code-s3")]
            store: None,
        })
    }

    /// The same executable, which runners may download from `store`.
    #[cfg(feature = "code-s3")]
    pub(crate) fn in_store(mut self, store: Option<&CodeStore>) -> Self {
        self.store = store.and_then(|store| store.open(self.path.clone(), &self.offer));
        self.offer.in_store = self.store.is_some();
        self
    }

    /// Offers the executable to a runner and, until `until`, sends it if the runner asks for it. If
    /// the file can't be read or the runner can't use it, the runner's task receives the reason. A
    /// runner whose connection breaks connects again.
    pub(crate) async fn upload(self, incoming: IncomingHello, inbox: SocketInbox, until: Instant) {
        let (runner, build) = (incoming.hello.runner, incoming.hello.build.clone());
        let started = Instant::now();
        let upload = async {
            let upload = incoming.offer(self.offer.clone()).await?;
            self.send(upload, runner, until).await
        };
        let outcome = tokio::select! {
            outcome = timeout_at(until, upload) => outcome,
            // The boot was given up.
            () = inbox.first.closed() => return,
        };
        let why = match &outcome {
            Ok(Ok(outcome)) => match &outcome.reply {
                OfferReply::Failed(why) => why.clone(),
                _ => {
                    let took = started.elapsed();
                    let what = match outcome.origin {
                        CodeOrigin::Parent => "sent this executable to a runner of another build",
                        CodeOrigin::Store => {
                            "a runner of another build downloaded this executable from the code store"
                        }
                        CodeOrigin::Cache => {
                            "a runner of another build has this executable in its cache"
                        }
                    };
                    log_writer::event(move || tracing::info!(%runner, %build, ?took, "{what}"));
                    return;
                }
            },
            Ok(Err(error @ UploadError::Source(_))) => error.to_string(),
            Ok(Err(error)) => {
                tracing::debug!(%runner, %error, "a runner disconnected before it had this executable");
                return;
            }
            // The runner's task reports this itself: its boot timeout has the same deadline.
            Err(_) => return,
        };
        let reason = why.clone();
        log_writer::event(move || {
            tracing::warn!(%runner, %build, reason, "a runner of another build can't execute this executable");
        });
        let _ = inbox.first.send(Err(TurnedAway::CodeSyncFailed(why))).await;
        // Dropped last: this closes the socket, and then the runner exits. By that time the
        // runner's task must have the reason.
        drop(outcome);
    }

    /// Sends the executable, or a URL, as the runner asks for it.
    #[cfg(not(feature = "code-s3"))]
    async fn send(
        &self,
        upload: CodeUpload,
        _: RunnerRef,
        _: Instant,
    ) -> Result<UploadOutcome, UploadError> {
        upload.send(CodeReader::of(&self.path, self.offer.len)).await
    }

    /// Sends the executable, or a URL, as the runner asks for it.
    #[cfg(feature = "code-s3")]
    async fn send(
        &self,
        upload: CodeUpload,
        runner: RunnerRef,
        until: Instant,
    ) -> Result<UploadOutcome, UploadError> {
        let reader = CodeReader::of(&self.path, self.offer.len);
        let Some(store) = &self.store else { return upload.send(reader).await };
        let mut urls = store.urls(runner, until);
        let outcome = upload.send_with(&mut urls, reader).await?;
        match outcome.origin {
            CodeOrigin::Store => urls.downloaded(),
            CodeOrigin::Parent => urls.advise_if_not_asked(),
            CodeOrigin::Cache => {}
        }
        Ok(outcome)
    }
}

/// Whether a runner of this backend may download `code`, or why not. `None`: the pool offers none.
pub(crate) fn may_sync(code: Option<&Code>, backend: &dyn Backend) -> Result<(), NoCodeSync> {
    if code.is_none() {
        Err(NoCodeSync::Disabled)
    } else if backend.supports_code_sync() {
        Ok(())
    } else {
        Err(NoCodeSync::UnsupportedHost(backend.kind()))
    }
}

/// The path of the running file, even if another file has replaced it in its directory.
fn own_path() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// The length and the hash of a file. A file that is too long to send is not read.
fn digest(path: &Path) -> io::Result<(u64, CodeHash)> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > MAX_CODE {
        return Ok((len, CodeHasher::default().finish()));
    }
    let (mut hasher, mut read, mut chunk) = (CodeHasher::default(), 0_u64, vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((read, hasher.finish())),
            Ok(len) => {
                hasher.update(chunk.get(..len).unwrap_or_default());
                read = read.saturating_add(len as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a file chunk by chunk. It is opened for the first chunk.
struct CodeReader {
    path: PathBuf,
    file: Option<File>,
    bytes_left: u64,
}

impl CodeReader {
    fn of(path: &Path, len: u64) -> Self {
        Self { path: path.to_owned(), file: None, bytes_left: len }
    }
}

impl ChunkSource for CodeReader {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let len = usize::try_from(self.bytes_left).unwrap_or(CHUNK).min(CHUNK);
        if len == 0 {
            return Ok(None);
        }
        let (path, file) = (self.path.clone(), self.file.take());
        let (file, chunk) = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => File::open(&path)?,
            };
            let mut chunk = vec![0; len];
            file.read_exact(&mut chunk)?;
            Ok((file, Bytes::from(chunk)))
        })
        .await?;
        self.file = Some(file);
        self.bytes_left -= len as u64;
        Ok(Some(chunk))
    }
}

async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(step).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is removed when the test ends.
    struct TempFile(PathBuf);

    impl TempFile {
        fn of(len: u64) -> Self {
            let name = format!("flame-code-{}-{:x}", std::process::id(), rand::random::<u64>());
            let path = std::env::temp_dir().join(name);
            let file = File::create(&path).unwrap();
            file.set_len(len).unwrap();
            Self(path)
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    async fn all(mut reader: CodeReader) -> io::Result<Vec<Bytes>> {
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.next_chunk().await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    #[tokio::test]
    async fn the_running_executable_is_offered_unchanged_and_read_in_chunks() {
        let build = BuildId::new("b");
        let code = Code::own(&build).await.unwrap();
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut hasher = CodeHasher::default();
        hasher.update(&bytes);
        let (len, hash) = (bytes.len() as u64, hasher.finish());
        assert_eq!(code.offer, Offer { build, len, hash, target: target(), in_store: false });
        let chunks = all(CodeReader::of(&code.path, len)).await.unwrap();
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
        assert!(chunks.concat() == bytes);
    }

    #[test]
    fn an_executable_that_is_too_large_or_missing_is_not_offered() {
        // A sparse file, which occupies no disk space.
        let large = TempFile::of(MAX_CODE + 1);
        let error = Code::read(large.0.clone(), BuildId::new("b")).unwrap_err();
        assert!(matches!(error, CodeSyncError::TooLarge { len } if len == MAX_CODE + 1), "{error}");
        let gone = TempFile::of(1).0.clone();
        let error = Code::read(gone, BuildId::new("b")).unwrap_err();
        assert!(matches!(error, CodeSyncError::Unreadable(_)), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_an_error_and_one_that_grew_is_cut_off() {
        let file = TempFile::of(1_000_000);
        assert!(all(CodeReader::of(&file.0, 1_000_001)).await.is_err());
        let read = all(CodeReader::of(&file.0, 999_999)).await.unwrap().concat();
        assert_eq!(read.len(), 999_999);
    }
}
