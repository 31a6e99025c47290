use std::fs;
use std::path::PathBuf;

use super::*;

#[test]
fn a_listing_without_the_package_proves_its_absence() {
    let listing = "flame-aws v0.1.0 (/somewhere)\nrustls v0.23.1\nstring v1.0.0\nring-buffer v0.2.0\n\
                   rustls feature \"aws_lc_rs\"\n\nkeyring v3.0.0 (*)\n";
    assert_eq!(find(listing, "flame-aws", "ring"), Presence::Absent);
}

#[test]
fn the_package_is_found_as_a_crate_a_repeated_crate_or_a_feature() {
    for line in ["ring v0.17.8", "ring v0.17.8 (*)", "ring feature \"default\""] {
        let listing = format!("flame-aws v0.1.0\n{line}\n");
        assert_eq!(find(&listing, "flame-aws", "ring"), Presence::Present, "{line}");
    }
}

#[test]
fn a_listing_without_the_member_proves_nothing() {
    for listing in ["", "error: something\n", "warning: nothing to print.\n"] {
        assert_eq!(find(listing, "flame-aws", "ring"), Presence::Unknown);
    }
}

/// Runs the check on real workspaces. Their `ring` is a local package, so no registry is needed.
#[test]
fn a_real_tree_is_searched_through_every_kind_of_dependency() {
    for (case, manifest, member_of_middle) in [
        ("direct", "[dependencies]\nring = { path = \"../ring\" }", ""),
        ("for-tests", "[dev-dependencies]\nring = { path = \"../ring\" }", ""),
        ("for-a-build-script", "[build-dependencies]\nring = { path = \"../ring\" }", ""),
        (
            "for-another-platform",
            "[target.'cfg(windows)'.dependencies]\nring = { path = \"../ring\" }",
            "",
        ),
        ("optional", "[dependencies]\nring = { path = \"../ring\", optional = true }", ""),
        ("renamed", "[dependencies]\nnot-at-all = { path = \"../ring\", package = \"ring\" }", ""),
        (
            "through-another",
            "[dependencies]\nmiddle = { path = \"../middle\" }",
            "[dependencies]\nring = { path = \"../ring\" }",
        ),
    ] {
        let workspace = Workspace::new(case);
        workspace.package("member", manifest);
        workspace.package("middle", member_of_middle);
        workspace.package("ring", "");
        let error = check_in(&workspace.lock("[\"member\"]"), "member", "ring").unwrap_err();
        assert!(error.contains("ring is in the dependency tree"), "{case}: {error}");
        assert!(error.contains("member"), "{case} does not show the path to it: {error}");
    }
}

#[test]
fn a_real_tree_without_the_package_passes() {
    let workspace = Workspace::new("absent");
    workspace.package("member", "[dependencies]\nring-of-keys = { path = \"../ring-of-keys\" }");
    workspace.package("ring-of-keys", "");
    assert_eq!(check_in(&workspace.lock("[\"member\"]"), "member", "ring"), Ok(()));
}

#[test]
fn a_workspace_that_cargo_cannot_read_is_an_error() {
    let workspace = Workspace::new("broken");
    fs::write(workspace.0.join("Cargo.toml"), "[workspace]\nmembers = [\"missing\"]\n").unwrap();
    let error = check_in(&workspace.0, "member", "ring").unwrap_err();
    assert!(error.contains("cargo tree"), "{error}");
}

/// A workspace in the temporary directory, removed at the end of its test.
struct Workspace(PathBuf);

impl Workspace {
    fn new(case: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-{}-{case}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn package(&self, name: &str, dependencies: &str) {
        let folder = self.0.join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"");
        fs::write(folder.join("Cargo.toml"), format!("{head}\n{dependencies}\n")).unwrap();
    }

    fn lock(&self, members: &str) -> PathBuf {
        let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members}\n");
        fs::write(self.0.join("Cargo.toml"), manifest).unwrap();
        cargo::output(&self.0, &["generate-lockfile", "--offline"]).unwrap();
        self.0.clone()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
