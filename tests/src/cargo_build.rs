//! Executables of the workspace that cargo does not build for a suite.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::emulator::{self, containers};
use crate::{Test, requiring};

/// Builds these targets with the suite's profile into the suite's target directory. Returns the
/// folder with the profile's executables. Blocks.
///
/// An executable that exists may be out of date.
///
/// # Panics
/// Panics if the build fails.
#[must_use]
pub fn cargo_build(targets: &[&str]) -> PathBuf {
    let suite = std::env::current_exe().expect("this suite has a path");
    // target/debug/deps/suite-0123456789abcdef
    let built = suite.ancestors().nth(2).expect("the suite is in cargo's target directory");
    let profile = match built.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--locked", "--workspace", "--profile", profile])
        .args(targets)
        .arg("--target-dir")
        .arg(built.parent().expect("the suite is in cargo's target directory"))
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("cargo starts").success(), "building {targets:?} failed");
    built.to_owned()
}

/// The executable of the generic runner, `flame-runner`.
pub async fn generic_runner() -> PathBuf {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| executable("flame-runner"));
    tokio::task::spawn_blocking(|| EXECUTABLE.clone()).await.expect("flame-runner is built")
}

/// The executable of the Lambda function that stops orphans, `flame-reaper`.
pub async fn reaper() -> PathBuf {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| executable("flame-reaper"));
    tokio::task::spawn_blocking(|| EXECUTABLE.clone()).await.expect("flame-reaper is built")
}

/// The executable of the terminal view, `flame-top`.
pub async fn top() -> PathBuf {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| executable("flame-top"));
    tokio::task::spawn_blocking(|| EXECUTABLE.clone()).await.expect("flame-top is built")
}

/// The executable of a program of the workspace. Blocks.
pub(crate) fn executable(name: &str) -> PathBuf {
    // With an example, cargo unifies the features of dev-dependencies as it does for the suite.
    // Without, it would build all dependencies once more.
    cargo_build(&["--bin", name, "--example", "web"]).join(name)
}

/// Marks tests in which AWS runs the generic runner. It has no image, so they need the emulator,
/// and instances that are processes of this machine.
#[must_use]
pub fn on_generic_runners(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || {
        if containers::asked_for() {
            return Ok(Some("no image contains the generic runner".to_owned()));
        }
        let is_emulator = emulator::is_used()?;
        Ok((!is_emulator).then(|| "it needs the emulator's pages".to_owned()))
    })
}
