//! No dependency needs a newer Rust than the one that our crates promise to build with.

#![expect(clippy::expect_used, reason = "a panic in a helper fails the test")]

use std::process::Command;

use serde_json::Value;

#[test]
fn no_dependency_needs_a_newer_rust_than_our_crates() {
    let packages = packages();
    let is_ours = |package: &&Value| package["source"].is_null();
    let promised = packages.iter().filter(is_ours).filter_map(rust_version).min();
    let promised = promised.expect("our crates state a `rust-version`");
    let newer: Vec<_> = packages
        .iter()
        .filter(|package| rust_version(package).is_some_and(|needed| needed > promised))
        .map(|package| {
            format!("{} {} needs {}", package["name"], package["version"], package["rust_version"])
        })
        .collect();
    assert!(
        newer.is_empty(),
        "our crates promise Rust {promised:?}, but these dependencies need a newer one; raise \
         `rust-version` in Cargo.toml, or use older versions of them:\n{}",
        newer.join("\n")
    );
}

/// Every package that a build on Linux can use, as `cargo metadata` describes it.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").expect("cargo says which cargo runs the test");
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        // Cargo would have to download the packages of other platforms.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(package)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

/// The oldest Rust that a package builds with, as numbers; `None` if the package does not say.
fn rust_version(package: &Value) -> Option<[u32; 3]> {
    let text = package["rust_version"].as_str()?;
    let mut numbers = text.split('.').map(|number| number.parse().expect("a version of Rust"));
    Some(std::array::from_fn(|_| numbers.next().unwrap_or(0)))
}
