//! The program that a child runs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::super::BackendError;

/// A command that runs this executable, even after a rebuild has replaced its file.
pub(super) fn own() -> std::io::Result<std::process::Command> {
    #[cfg(target_os = "linux")]
    let program = std::path::PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    let program = std::env::current_exe()?;
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut command = std::process::Command::new(program);
    #[cfg(unix)]
    if let Some(name) = std::env::args_os().next() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    Ok(command)
}

/// Checks that a program can be started, as far as possible without starting it. A name without a
/// slash is looked up in `PATH`, as when it is started.
pub(super) fn check(program: &OsStr) -> Result<(), BackendError> {
    let path = Path::new(program);
    let shown = path.display();
    if path.components().count() > 1 {
        if !path.is_file() {
            return Err(BackendError::new(format!(
                "`program` is {shown}, but there is no such file"
            )));
        }
        if !may_be_executed(path) {
            let what =
                format!("`program` is {shown}, which is not executable: run `chmod +x` on it");
            return Err(BackendError::new(what));
        }
        return Ok(());
    }
    if !in_path(program).any(|file| file.is_file() && may_be_executed(&file)) {
        let what =
            format!("`program` is {shown}, which is in no folder of PATH: use its full path");
        return Err(BackendError::new(what));
    }
    Ok(())
}

/// Checks that a child can be given these. The system rejects zero bytes, and variables whose name
/// is empty or contains `=`.
pub(super) fn check_words(
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> Result<(), BackendError> {
    let has = |text: &OsStr, byte| text.as_encoded_bytes().contains(&byte);
    if let Some(arg) = args.iter().find(|arg| has(arg, 0)) {
        return Err(BackendError::new(format!("`args` has {arg:?}, which contains a zero byte")));
    }
    for (name, value) in env {
        if name.is_empty() || has(name, b'=') || has(name, 0) {
            return Err(BackendError::new(format!(
                "`env` has a variable named {name:?}: a name must not be empty, and must contain \
                 neither `=` nor a zero byte"
            )));
        }
        if has(value, 0) {
            let what = format!("`env` sets {name:?} to a value that contains a zero byte");
            return Err(BackendError::new(what));
        }
    }
    Ok(())
}

fn in_path(name: &OsStr) -> impl Iterator<Item = PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let files: Vec<_> = std::env::split_paths(&folders).map(|folder| folder.join(name)).collect();
    files.into_iter()
}

#[cfg(unix)]
fn may_be_executed(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn may_be_executed(_: &Path) -> bool {
    true
}
