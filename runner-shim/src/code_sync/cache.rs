//! The folder of fetched executables: one file each, named after the SHA-256 of its bytes.
//!
//! ```text
//! flame-code-1000/                   belongs to this user alone
//!   <hash>                           complete once it has this name, and verified at each use
//!   <hash>.<pid>-<random>.part       a draft; removed by its writer, or once it is old
//! ```
//!
//! Runners share the folder without a lock: each writes a draft of its own, and a rename gives it
//! its name. Two runners that fetch the same bytes replace one file by an equal one; a runner that
//! has opened the first file keeps it.
//!
//! A file's name is never trusted, only its content: the file is opened, hashed through that
//! descriptor, and executed through it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flame_wire::code::{CodeHash, CodeHasher, Offer};

use super::SyncError;

/// The number of executables that are kept: the newest.
pub(super) const MAX_KEPT: usize = 3;
/// The age at which a draft is abandoned. No boot takes nearly as long.
pub(super) const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

const DRAFT: &str = ".part";
const HASH_DIGITS: usize = 64;
const CHUNK: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
    user: u32,
}

impl Cache {
    /// Opens this folder, or the default one, and creates it if necessary.
    pub(super) fn open(folder: Option<OsString>) -> Result<Self, SyncError> {
        let user = platform::user();
        let folder = match folder {
            Some(folder) => PathBuf::from(folder),
            None => std::env::temp_dir().join(format!("flame-code-{user}")),
        };
        let failed = |source| SyncError::Folder { folder: folder.clone(), source };
        platform::make_private(&folder).map_err(failed)?;
        let metadata = fs::metadata(&folder).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let (owner, mode) = platform::owner_and_mode(&metadata);
        match exposure(owner, mode, user) {
            Some(why) => Err(SyncError::NotPrivate { folder, why, user }),
            None => Ok(Self { folder, user }),
        }
    }

    /// The executable, if it is in the folder and intact. A damaged one is removed.
    pub(super) fn find(&self, offer: &Offer) -> Result<Option<Executable>, SyncError> {
        let path = self.path(&offer.hash);
        let failed = |source| SyncError::Folder { folder: self.folder.clone(), source };
        match self.open_verified(&path, offer) {
            Ok(Some(file)) => return Ok(Some(Executable { file, path, hash: offer.hash })),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        tracing::warn!(file = %path.display(), "removing a fetched executable that was altered");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(None),
        }
    }

    /// A file to write the executable to, and the guard that removes it.
    pub(super) fn draft(&self, offer: &Offer) -> Result<(Draft, DraftGuard), SyncError> {
        let unique = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = self.folder.join(format!("{}.{unique}{DRAFT}", offer.hash));
        match platform::create(&path) {
            Ok(file) => {
                let (hasher, offer) = (CodeHasher::default(), offer.clone());
                let guard = DraftGuard(path.clone());
                Ok((Draft { file, hasher, len: 0, offer, path }, guard))
            }
            Err(source) => Err(self.write_error(offer, source)),
        }
    }

    /// Gives the draft its name, if it is the offered executable.
    pub(super) fn keep(&self, draft: Draft) -> Result<Executable, SyncError> {
        let Draft { file, hasher, len, offer, path: drafted } = draft;
        let altered =
            || SyncError::Altered { folder: self.folder.clone(), len: offer.len, hash: offer.hash };
        if len != offer.len || hasher.finish() != offer.hash {
            return Err(altered());
        }
        // Closed first: a file that is open for writing can't be executed.
        drop(file);
        // Verified once more, from the disk and through the descriptor that will be executed. Under
        // the draft's name, because no other runner touches that.
        let write_error = |source| self.write_error(&offer, source);
        let file =
            self.open_verified(&drafted, &offer).map_err(write_error)?.ok_or_else(altered)?;
        let path = self.path(&offer.hash);
        fs::rename(&drafted, &path).map_err(write_error)?;
        Ok(Executable { file, path, hash: offer.hash })
    }

    /// Removes old executables and abandoned drafts. Errors are ignored: the next runner that
    /// fetches an executable tries again.
    pub(super) fn prune(&self, newest: &Executable) {
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        let entries = folder.filter_map(|entry| {
            let entry = entry.ok()?;
            let modified = entry.metadata().ok()?.modified().ok()?;
            Some((entry.file_name().into_string().ok()?, modified))
        });
        #[expect(clippy::disallowed_methods, reason = "compared with modification times of files")]
        let now = SystemTime::now();
        for name in surplus(entries.collect(), &newest.hash.to_string(), now) {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    fn path(&self, hash: &CodeHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// The opened file, if it is the offered executable and other users can't change it.
    fn open_verified(&self, path: &Path, offer: &Offer) -> io::Result<Option<File>> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let (owner, mode) = platform::owner_and_mode(&metadata);
        if !metadata.is_file()
            || metadata.len() != offer.len
            || exposure(owner, mode, self.user).is_some()
        {
            return Ok(None);
        }
        let (mut hasher, mut chunk) = (CodeHasher::default(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok((hasher.finish() == offer.hash).then_some(file)),
                Ok(len) => hasher.update(chunk.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write_error(&self, offer: &Offer, source: io::Error) -> SyncError {
        SyncError::Write { folder: self.folder.clone(), len: offer.len, source }
    }
}

/// An executable that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    hasher: CodeHasher,
    len: u64,
    offer: Offer,
    path: PathBuf,
}

impl Draft {
    /// Writes the next bytes.
    pub(super) fn add(mut self, bytes: &[u8]) -> Result<Self, SyncError> {
        if let Err(source) = self.file.write_all(bytes) {
            let folder = self.path.parent().unwrap_or(&self.path).to_owned();
            return Err(SyncError::Write { folder, len: self.offer.len, source });
        }
        self.hasher.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        Ok(self)
    }
}

/// Removes a draft when it is dropped, unless the draft was renamed. It is separate from the draft,
/// because a blocking thread owns the draft while it writes, and a runner that is told to end does
/// not wait for that thread.
#[derive(Debug)]
pub(super) struct DraftGuard(PathBuf);

impl Drop for DraftGuard {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A fetched executable that was opened and verified.
#[derive(Debug)]
pub(super) struct Executable {
    file: File,
    path: PathBuf,
    hash: CodeHash,
}

impl Executable {
    pub(super) fn hash(&self) -> CodeHash {
        self.hash
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the executable needs a dynamic loader or libraries that this machine lacks.
    pub(super) fn check_linking(&self) -> Result<(), SyncError> {
        #[cfg(unix)]
        super::linking::check(&self.file, &self.path)?;
        Ok(())
    }

    /// Replaces this process by the executable; returns only on failure.
    pub(super) fn exec(&self, mark: &str) -> io::Error {
        platform::exec(&self.file, &self.path, mark)
    }
}

/// Why users other than `user` can change a file or folder, if they can.
pub(super) fn exposure(owner: u32, mode: u32, user: u32) -> Option<String> {
    if owner != user {
        return Some(format!("belongs to another user (id {owner})"));
    }
    (mode & 0o022 != 0).then(|| format!("can be written by others (mode {:04o})", mode & 0o7777))
}

/// The entries to remove: all executables but the newest, and abandoned drafts. Other files are not
/// ours.
pub(super) fn surplus(
    entries: Vec<(String, SystemTime)>,
    in_use: &str,
    now: SystemTime,
) -> Vec<String> {
    let is_hash = |name: &str| {
        name.len() == HASH_DIGITS
            && name.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    };
    let (mut drafts, mut executables) = (Vec::new(), Vec::new());
    for (name, modified) in entries {
        let draft_of = name.strip_suffix(DRAFT).and_then(|rest| rest.get(..HASH_DIGITS));
        if draft_of.is_some_and(is_hash) {
            // A time in the future means that the clock was set back since: the draft is new.
            let age = now.duration_since(modified).unwrap_or_default();
            drafts.extend((age >= ABANDONED_AFTER).then_some(name));
        } else if is_hash(&name) && name != in_use {
            executables.push((modified, name));
        }
    }
    executables.sort_by(|a, b| b.cmp(a));
    // The one in use is kept in addition.
    drafts.extend(executables.into_iter().skip(MAX_KEPT - 1).map(|(_, name)| name));
    drafts
}

#[cfg(unix)]
mod platform {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    use crate::boot_variables::{SYNCED_ENV, boot_variables};

    pub(super) fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Creates the folder, unless it exists.
    pub(super) fn make_private(folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    pub(super) fn owner_and_mode(metadata: &Metadata) -> (u32, u32) {
        (metadata.uid(), metadata.mode())
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)
    }

    pub(super) fn exec(file: &File, path: &Path, mark: &str) -> io::Error {
        // Through its descriptor: whatever happens to the path, this is the file that was hashed.
        #[cfg(target_os = "linux")]
        let program = {
            let _ = path;
            if let Err(error) = is_for_this_machine(file) {
                return error;
            }
            format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))
        };
        #[cfg(not(target_os = "linux"))]
        let program = {
            let _ = file;
            path
        };
        let mut arguments = std::env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments).envs(boot_variables().passed_on()).env(SYNCED_ENV, mark).exec()
    }

    /// Checks the file before exec: the C library passes a file that the kernel can't execute to a
    /// shell, which would replace this process and fail.
    #[cfg(target_os = "linux")]
    fn is_for_this_machine(file: &File) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let (mut theirs, mut ours) = ([0; 20], [0; 20]);
        // A shorter file leaves zeros in the buffer.
        file.read_at(&mut theirs, 0)?;
        File::open("/proc/self/exe")?.read_at(&mut ours, 0)?;
        if super::same_machine(&theirs, &ours) {
            return Ok(());
        }
        Err(rustix::io::Errno::NOEXEC.into())
    }
}

/// Whether two ELF files, given their first bytes, are for the same kind of machine.
#[cfg(target_os = "linux")]
pub(super) fn same_machine(one: &[u8; 20], other: &[u8; 20]) -> bool {
    // Word size, byte order, instruction set.
    let machine = |head: &[u8; 20]| [head[4], head[5], head[18], head[19]];
    one.starts_with(b"\x7fELF") && other.starts_with(b"\x7fELF") && machine(one) == machine(other)
}

#[cfg(not(unix))]
mod platform {
    use std::fs::{File, Metadata};
    use std::io;
    use std::path::Path;

    pub(super) fn user() -> u32 {
        0
    }

    pub(super) fn make_private(_: &Path) -> io::Result<()> {
        Err(unsupported())
    }

    pub(super) fn owner_and_mode(_: &Metadata) -> (u32, u32) {
        (0, 0)
    }

    pub(super) fn create(_: &Path) -> io::Result<File> {
        Err(unsupported())
    }

    pub(super) fn exec(_: &File, _: &Path, _: &str) -> io::Error {
        unsupported()
    }

    fn unsupported() -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, "a process can't replace its program here")
    }
}
