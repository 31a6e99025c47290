//! Runs the cargo that has started this program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the root of the workspace, where every command runs.
///
/// Cargo gives this package's directory at run time. The directory at build time may be that of
/// another checkout, if two share a target directory.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().unwrap_or(&xtask).to_owned()
}

/// Returns the target directory, which all steps share.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Returns a cargo command that runs in the root of the workspace.
pub(crate) fn command() -> Command {
    command_in(&root())
}

fn command_in(folder: &Path) -> Command {
    // Cargo sets CARGO for its children, so every step uses the same toolchain.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// Runs cargo, and returns what it prints, or its error output as an error.
pub(crate) fn output(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let called = format!("cargo {}", arguments.join(" "));
    let output = command_in(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{called}` could not be started: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{called}` failed with {}:\n{stderr}", output.status))
    }
}
