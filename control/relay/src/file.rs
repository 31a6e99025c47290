//! Files that may change while the relay runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::keys::{KeyError, KeyTexts};

/// By what a change of a file is noticed: when it was modified, and its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileStamp(Option<(SystemTime, u64)>);

impl FileStamp {
    /// The stamp of the file now. A file that can't be read has a stamp of its own.
    pub(crate) fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path);
        Self(metadata.and_then(|metadata| Ok((metadata.modified()?, metadata.len()))).ok())
    }
}

/// A file with relay keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
    stamp: FileStamp,
}

/// Why a file with keys can't be used. Never shows a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not contain valid keys.
    #[error("{} can't be used", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

impl KeyFile {
    /// Reads the keys in a file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(path: PathBuf) -> Result<(Self, KeyTexts), KeyFileError> {
        let stamp = FileStamp::of(&path);
        let file = Self { path, stamp };
        let keys = file.read()?;
        Ok((file, keys))
    }

    /// The keys, if the file has changed since it was read.
    ///
    /// # Errors
    /// [`KeyFileError`], once for each change.
    pub(crate) fn changed(&mut self) -> Result<Option<KeyTexts>, KeyFileError> {
        let stamp = FileStamp::of(&self.path);
        if std::mem::replace(&mut self.stamp, stamp) == stamp {
            return Ok(None);
        }
        self.read().map(Some)
    }

    fn read(&self) -> Result<KeyTexts, KeyFileError> {
        let path = || self.path.clone();
        let text = std::fs::read_to_string(&self.path)
            .map(Zeroizing::new)
            .map_err(|source| KeyFileError::Unreadable { path: path(), source })?;
        KeyTexts::parse(&text).map_err(|source| KeyFileError::Invalid { path: path(), source })
    }
}
