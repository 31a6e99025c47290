//! This process's executable, for runners of another build: hashed once, handed over as often as it
//! is asked for.
//!
//! Invariant: of a transfer no more than two chunks are in memory. What is sent is read anew each
//! time, from the file that runs, which a rebuild does not change; were it changed all the same,
//! the runner would see another hash.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flame_link::{Chunks, Greeting, OfferError};
use flame_runner_shim::log_writer;
use flame_wire::code::{CodeHash, CodeHasher, MAX_CODE, Offer, Wish, target};
use flame_wire::ids::BuildId;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::error::CodeSyncError;
use crate::listener::{Away, Door};

/// What is read and sent at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// An executable that can be handed over.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    path: PathBuf,
    offer: Offer,
}

impl Code {
    /// That of this process. Reads it all at the first call.
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
        let offer = Offer { build, len, hash, target: target() };
        Ok(Self { path, offer })
    }

    /// Offers it to a runner, and sends it if that has it not, until `by`. Tells the pool where
    /// that is the end of its boot; after a cut the runner dials again.
    pub(crate) async fn hand_over(self, greeting: Greeting, door: Door, by: Instant) {
        let (runner, build) = (greeting.hello.runner, greeting.hello.build.clone());
        let begun = Instant::now();
        let handed = async {
            let offering = greeting.offer(self.offer.clone()).await?;
            offering.hand_over(Reader::of(&self.path, self.offer.len)).await
        };
        let handed = tokio::select! {
            handed = timeout_at(by, handed) => handed,
            // Its boot was given up.
            () = door.first.closed() => return,
        };
        let away = match &handed {
            Ok(Ok(handed)) => match &handed.outcome {
                Wish::Failed(why) => why.clone(),
                _ => {
                    let took = begun.elapsed();
                    log_writer::event(move || {
                        tracing::info!(%runner, %build, ?took, "a runner of another build becomes this");
                    });
                    return;
                }
            },
            Ok(Err(error @ OfferError::Source(_))) => error.to_string(),
            Ok(Err(error)) => {
                tracing::debug!(%runner, %error, "a runner went before it had this executable");
                return;
            }
            // The pool's own clock says so, too.
            Err(_) => return,
        };
        let why = away.clone();
        log_writer::event(move || {
            tracing::warn!(%runner, %build, why, "a runner can't become this executable");
        });
        let _ = door.first.send(Err(Away::NotSynced(away))).await;
        // Not before: with its socket it ends, and the pool is to have its reason first.
        drop(handed);
    }
}

/// The running file, also where its path leads to another by now.
fn own_path() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// Length and hash of a file, of which no more is read than may be sent.
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

/// Reads a file chunk by chunk, opened at the first.
struct Reader {
    path: PathBuf,
    file: Option<File>,
    left: u64,
}

impl Reader {
    fn of(path: &Path, len: u64) -> Self {
        Self { path: path.to_owned(), file: None, left: len }
    }
}

impl Chunks for Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let len = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
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
        self.left -= len as u64;
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

    struct Scratch(PathBuf);

    impl Scratch {
        fn of(len: u64) -> Self {
            let name = format!("flame-code-{}-{:x}", std::process::id(), rand::random::<u64>());
            let path = std::env::temp_dir().join(name);
            let file = File::create(&path).unwrap();
            file.set_len(len).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    async fn all(mut reader: Reader) -> io::Result<Vec<Bytes>> {
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.next().await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    #[tokio::test]
    async fn the_running_executable_is_offered_as_it_is_and_read_in_small_pieces() {
        let build = BuildId::new("b");
        let code = Code::own(&build).await.unwrap();
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut hasher = CodeHasher::default();
        hasher.update(&bytes);
        let (len, hash) = (bytes.len() as u64, hasher.finish());
        assert_eq!(code.offer, Offer { build, len, hash, target: target() });
        let chunks = all(Reader::of(&code.path, len)).await.unwrap();
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
        assert!(chunks.concat() == bytes);
    }

    #[test]
    fn an_executable_that_is_too_large_or_not_there_is_not_offered() {
        // Sparse: it takes no room.
        let large = Scratch::of(MAX_CODE + 1);
        let error = Code::read(large.0.clone(), BuildId::new("b")).unwrap_err();
        assert!(matches!(error, CodeSyncError::TooLarge { len } if len == MAX_CODE + 1), "{error}");
        let gone = Scratch::of(1).0.clone();
        let error = Code::read(gone, BuildId::new("b")).unwrap_err();
        assert!(matches!(error, CodeSyncError::Unreadable(_)), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error_and_one_that_grew_is_cut() {
        let file = Scratch::of(1_000_000);
        assert!(all(Reader::of(&file.0, 1_000_001)).await.is_err());
        let read = all(Reader::of(&file.0, 999_999)).await.unwrap().concat();
        assert_eq!(read.len(), 999_999);
    }
}
