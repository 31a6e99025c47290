//! Checks that a package is nowhere in the dependency tree.
//!
//! The check reads the full listing of `cargo tree`. `cargo tree --invert PACKAGE` can't be used:
//! it exits with an error for an absent package, but also for many other reasons. The listing
//! covers every feature, every platform and every kind of dependency of all members. A listing that
//! names no member of the workspace is incomplete, and does not prove that the package is absent.

use std::path::Path;

use crate::cargo;

/// A member that every complete listing names.
const MEMBER: &str = "flame-aws";

/// Fails if `package` is in the tree of this workspace, and shows the paths to it.
pub(crate) fn check(package: &str) -> Result<(), String> {
    check_in(&cargo::root(), MEMBER, package)
}

fn check_in(workspace: &Path, member: &str, package: &str) -> Result<(), String> {
    let everything = ["--workspace", "--all-features", "--target=all", "--edges=all", "--locked"];
    let tree = |extra: &[&str]| -> Result<String, String> {
        let arguments = [&["tree"], everything.as_slice(), extra].concat();
        cargo::output(workspace, &arguments)
    };
    match find(&tree(&["--prefix=none"])?, member, package) {
        Presence::Absent => {
            println!("{package} is not in the tree");
            Ok(())
        }
        Presence::Present => {
            let paths = tree(&["--invert", package])?;
            Err(format!("{package} is in the dependency tree:\n{paths}"))
        }
        Presence::Unknown => {
            Err(format!("the listing of `cargo tree` is incomplete: it does not name {member}"))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
    /// The listing does not name the member.
    Unknown,
}

/// Looks for a package in a listing of `cargo tree --prefix=none`, which has a package or a feature
/// on each line.
fn find(listing: &str, member: &str, package: &str) -> Presence {
    let names = |name: &str| listing.lines().any(|line| line.split(' ').next() == Some(name));
    match (names(member), names(package)) {
        (_, true) => Presence::Present,
        (true, false) => Presence::Absent,
        (false, false) => Presence::Unknown,
    }
}

#[cfg(test)]
mod tests;
