//! Tasks in real containers, on request. podman runs them from an image that has little in it but
//! the suite.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The variable that requests containers. With an AWS that the suite has not started, it says that
/// tasks run in containers there.
pub const ENV: &str = "FLAME_TEST_CONTAINERS";

/// Returns whether tasks run in containers, and not as plain processes.
#[must_use]
pub fn asked_for() -> bool {
    std::env::var_os(ENV).is_some()
}

/// The image, and podman's storage.
#[derive(Debug)]
pub(super) struct Containers {
    folder: PathBuf,
}

impl Containers {
    /// Builds the image of this executable, and returns its entry for the table of images as well.
    pub(super) fn make(folder: PathBuf, suite: &Path) -> Result<(Self, Value), String> {
        if !cfg!(target_feature = "crt-static") {
            return Err(format!(
                "{ENV} is set, but this executable is not static, and the image has no libc: \
                 run `cargo xtask test --containers`"
            ));
        }
        let made = script(&["make".as_ref(), folder.as_os_str(), suite.as_os_str()])?;
        let entry = serde_json::from_str(&made).map_err(|error| format!("{made:?}: {error}"))?;
        Ok((Self { folder }, entry))
    }

    /// Deletes everything. A container that is left over is an error, and is deleted, too.
    pub(super) fn end(self) -> Result<(), String> {
        script(&["end".as_ref(), self.folder.as_os_str()]).map(|_| ())
    }
}

/// Runs `localstack/emulator/podman.py`, and returns what it prints.
fn script(arguments: &[&std::ffi::OsStr]) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/emulator/podman.py");
    let mut command = Command::new("python3");
    command.arg(&script).args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        format!("`python3` can't be started ({error}): install Python 3.11 or newer")
    })?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed with {}:\n{error}", script.display(), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
