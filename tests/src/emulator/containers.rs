//! Tasks that are real containers, where that is asked for: by podman, of an image with little but
//! the suite in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The variable that asks for it. Of AWS that somebody else has started it tells that it is so.
pub const ENV: &str = "FLAME_TEST_CONTAINERS";

/// Whether tasks are containers, and not plain processes.
#[must_use]
pub fn asked_for() -> bool {
    std::env::var_os(ENV).is_some()
}

/// The image, and all that podman keeps.
#[derive(Debug)]
pub(super) struct Containers {
    folder: PathBuf,
}

impl Containers {
    /// Makes the image of this executable; its entry for the table of images, too.
    pub(super) fn make(folder: PathBuf, suite: &Path) -> Result<(Self, Value), String> {
        if !cfg!(target_feature = "crt-static") {
            return Err(format!(
                "{ENV} is set, but this executable is not static, and there is no libc in the image: \
                 run `cargo xtask test --containers`"
            ));
        }
        let made = script(&["make".as_ref(), folder.as_os_str(), suite.as_os_str()])?;
        let entry = serde_json::from_str(&made).map_err(|error| format!("{made:?}: {error}"))?;
        Ok((Self { folder }, entry))
    }

    /// Deletes all of it. A container that is left is an error, and is deleted, too.
    pub(super) fn end(self) -> Result<(), String> {
        script(&["end".as_ref(), self.folder.as_os_str()]).map(|_| ())
    }
}

/// What `localstack/emulator/podman.py` prints.
fn script(arguments: &[&std::ffi::OsStr]) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/emulator/podman.py");
    let mut command = Command::new("python3");
    command.arg(&script).args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        format!("`python3` can't be started ({error}): install Python 3.11 or newer")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ended with {}:\n{said}", script.display(), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
