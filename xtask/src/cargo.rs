//! Calling the cargo that started us.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace, where every command runs.
///
/// Cargo says at run time where this package is. Where it was when it was built may be another
/// checkout, if two share a target folder.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().unwrap_or(&xtask).to_owned()
}

/// The folder for what is built, shared by every step.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A call of cargo in the root of the workspace.
pub(crate) fn command() -> Command {
    command_in(&root())
}

fn command_in(folder: &Path) -> Command {
    // Cargo tells its children which cargo it is: the same toolchain serves every step.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// What a call of cargo prints, or the error text it ends with.
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
        Err(format!("`{called}` ended with {}:\n{stderr}", output.status))
    }
}
