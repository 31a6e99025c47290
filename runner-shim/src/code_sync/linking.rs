//! Checks before the exec that an executable's dynamic loader and shared libraries are here, and
//! `/proc`, through which it is executed. After the exec it would be too late to tell the parent.
//!
//! The kernel reports a missing loader only as "not found". A missing library is reported by the
//! loader, to standard error, when this process is already gone. So the loader that the executable
//! names is asked first: in its list mode it finds the libraries exactly as it will at the exec,
//! and starts nothing. glibc and musl both have that mode.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::SyncError;
use crate::build_id::elf::dynamic_loader;

/// The number of missing libraries that an error names.
const MAX_NAMED: usize = 8;

/// The folder in which Linux shows a process its open files. An executable is executed through its
/// descriptor.
#[cfg(target_os = "linux")]
const OPEN_FILES: &str = "/proc/self/fd";

/// Checks the open file. `path` is where it is.
pub(super) fn check(mut file: &File, path: &Path) -> Result<(), SyncError> {
    #[cfg(target_os = "linux")]
    check_proc(Path::new(OPEN_FILES))?;
    let Some(loader) = dynamic_loader(&mut file).map(PathBuf::from) else { return Ok(()) };
    if !loader.exists() {
        return Err(SyncError::MissingLoader { loader });
    }
    let listed = Command::new(&loader).arg("--list").arg(path).stdin(Stdio::null()).output();
    // A loader that can't be asked says nothing about the libraries.
    let missing = listed.map(|listed| missing(&listed)).unwrap_or_default();
    if missing.is_empty() { Ok(()) } else { Err(SyncError::MissingLibraries { missing }) }
}

/// Without `/proc`, the exec would fail with the same error as without the loader.
#[cfg(target_os = "linux")]
fn check_proc(open_files: &Path) -> Result<(), SyncError> {
    if open_files.exists() { Ok(()) } else { Err(SyncError::MissingProc) }
}

/// The names that are missing by a loader's list.
fn missing(listed: &Output) -> Vec<String> {
    let lines = [&listed.stdout, &listed.stderr].map(|text| String::from_utf8_lossy(text));
    let mut missing: Vec<String> = Vec::new();
    for line in lines.iter().flat_map(|text| text.lines()) {
        if let Some(name) =
            missing_library(line).filter(|name| !missing.iter().any(|it| it == name))
        {
            missing.push(name.to_owned());
        }
    }
    missing.truncate(MAX_NAMED);
    missing
}

/// The library, or the version of a library, that a line reports as missing.
fn missing_library(line: &str) -> Option<&str> {
    let line = line.trim();
    // glibc, traced as by `ldd`: `libx.so.1 => not found`.
    if let Some(name) = line.strip_suffix(" => not found") {
        return Some(name);
    }
    // glibc: `FILE: error while loading shared libraries: libx.so.1: cannot open ...`.
    if let Some((_, name)) = line.split_once("error while loading shared libraries: ") {
        return name.split_once(": ").map(|(name, _)| name);
    }
    // glibc: `FILE: /lib/libc.so.6: version `GLIBC_2.38' not found (required by FILE)`.
    if let Some((_, version)) = line.split_once(": version `") {
        return version.split_once("' not found").map(|(version, _)| version);
    }
    // musl: `Error loading shared library libx.so.1: No such file or directory (needed by FILE)`.
    let (name, _) = line.strip_prefix("Error loading shared library ")?.split_once(": ")?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loaders_words_for_a_missing_library_are_recognized() {
        for (line, name) in [
            ("\tlibx.so.1 => not found", Some("libx.so.1")),
            (
                "app: error while loading shared libraries: libx.so.1: cannot open shared object \
                 file: No such file or directory",
                Some("libx.so.1"),
            ),
            ("\tlibc.so.6 => /lib/libc.so.6 (0x00007f0000000000)", None),
            ("\tlinux-vdso.so.1 (0x00007ffc00000000)", None),
            (
                "./app: /lib/libc.so.6: version `GLIBC_2.38' not found (required by ./app)",
                Some("GLIBC_2.38"),
            ),
            (
                "Error loading shared library libx.so.1: No such file or directory (needed by app)",
                Some("libx.so.1"),
            ),
            ("unrecognized option --list", None),
        ] {
            assert_eq!(missing_library(line), name, "{line}");
        }
    }

    #[test]
    fn this_executable_can_be_linked() {
        let path = std::env::current_exe().unwrap();
        check(&File::open(&path).unwrap(), &path).unwrap();
    }
}
