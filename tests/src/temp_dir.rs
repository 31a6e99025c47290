//! A temporary directory for one test.

use std::path::{Path, PathBuf};

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates an empty directory.
    #[must_use]
    pub fn new() -> Self {
        let name = format!("flame-tests-{}-{:x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        Self(path)
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The files in the directory, sorted. Files with an extension are drafts, and left out.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.0).expect("the test's directory exists");
        let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.extension().is_none());
        files.sort();
        files
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
