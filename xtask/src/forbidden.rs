//! The check that a package is nowhere in the dependency tree.
//!
//! It reads a full listing of `cargo tree` rather than asking for the package itself: asked for a
//! package that is absent, cargo exits with an error, as it does for many other reasons. The
//! listing covers every feature, every platform and every kind of dependency of all members, and
//! must name a member of the workspace: a listing that does not is no proof of absence.

use std::path::Path;

use crate::cargo;

/// A member which every sound listing names.
const MEMBER: &str = "flame-aws";

/// Fails, with the paths that lead to it, when `package` is in the tree of this workspace.
pub(crate) fn check(package: &str) -> Result<(), String> {
    check_in(&cargo::root(), MEMBER, package)
}

fn check_in(workspace: &Path, member: &str, package: &str) -> Result<(), String> {
    let everything = ["--workspace", "--all-features", "--target=all", "--edges=all", "--locked"];
    let tree = |extra: &[&str]| -> Result<String, String> {
        let arguments = [&["tree"], everything.as_slice(), extra].concat();
        cargo::output(workspace, &arguments)
    };
    match verdict(&tree(&["--prefix=none"])?, member, package) {
        Verdict::Absent => {
            println!("{package} is not in the tree");
            Ok(())
        }
        Verdict::Present => {
            let paths = tree(&["--invert", package])?;
            Err(format!("{package} is in the dependency tree:\n{paths}"))
        }
        Verdict::Unsound => {
            Err(format!("the listing of cargo tree does not even name {member}: nothing is proved"))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Absent,
    Present,
    Unsound,
}

/// Judges a listing of `cargo tree --prefix=none`: one package, or feature of one, a line.
fn verdict(listing: &str, member: &str, package: &str) -> Verdict {
    let names = |name: &str| listing.lines().any(|line| line.split(' ').next() == Some(name));
    match (names(member), names(package)) {
        (_, true) => Verdict::Present,
        (true, false) => Verdict::Absent,
        (false, false) => Verdict::Unsound,
    }
}

#[cfg(test)]
mod tests;
