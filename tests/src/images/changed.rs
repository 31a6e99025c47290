//! The image of an app after a change of the app's source alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use super::{CHANGED_APP, ROOT, output};
use crate::TempDir;
use crate::docker::storage::Storage;

/// What the app calls primes after the change. It differs from run to run, so that podman has no layer
/// with it.
pub static CHANGE: LazyLock<String> =
    LazyLock::new(|| format!("primes, as {:08x} says,", rand::random::<u32>()));

/// The file with the change.
const SOURCE: &str = "examples/hello/main.rs";
/// What [`CHANGE`] replaces there.
const BEFORE: &str = "{count} primes below";
/// What a build does not need and what takes long to copy.
const LEFT_OUT: [&str; 3] = [".git", "cdk", "target"];

/// Builds the image from a copy of this checkout that has the change. Returns the ids of all images that
/// podman has not had before.
pub(super) fn build(
    storage: &Storage,
    log: &Path,
    arguments: &[String],
) -> Result<Vec<String>, String> {
    let copy = TempDir::new();
    let copied = copy_sources(copy.path()).and_then(|()| change(&copy.path().join(SOURCE)));
    copied.map_err(|error| format!("this checkout was not copied: {error}"))?;
    let before = all(storage)?;
    CHANGED_APP.build(storage, copy.path(), log, arguments)?;
    Ok(all(storage)?.difference(&before).cloned().collect())
}

/// Removes these images.
pub(super) fn remove(storage: &Storage, images: &[String]) {
    if let Err(error) = output(storage.command().args(["rmi", "--force"]).args(images)) {
        eprintln!("images: the layers of {CHANGED_APP:?} were not removed: {error}");
    }
}

/// The ids of all images, with those of their layers.
fn all(storage: &Storage) -> Result<BTreeSet<String>, String> {
    let ids = output(storage.command().args(["images", "--all", "--quiet", "--no-trunc"]))?;
    Ok(ids.lines().map(str::to_owned).collect())
}

fn copy_sources(folder: &Path) -> std::io::Result<()> {
    let mut copy = Command::new("cp");
    // It keeps the times of the files, so that only the changed one is newer.
    copy.arg("--archive");
    for entry in std::fs::read_dir(ROOT)? {
        let entry = entry?;
        if LEFT_OUT.iter().all(|name| entry.file_name() != *name) {
            copy.arg(entry.path());
        }
    }
    output(copy.arg(folder)).map(|_| ()).map_err(std::io::Error::other)
}

fn change(source: &Path) -> std::io::Result<()> {
    let text = std::fs::read_to_string(source)?;
    let changed = text.replace(BEFORE, &format!("{{count}} {} below", *CHANGE));
    if text == changed {
        return Err(std::io::Error::other(format!("{SOURCE} has no `{BEFORE}`")));
    }
    std::fs::write(source, changed)
}
