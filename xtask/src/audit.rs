//! `cargo xtask audit`: checks the dependency tree with cargo-deny, by the rules of `deny.toml`.
//!
//! cargo-deny takes minutes to build, so the audit is not part of the test. It is built once, into
//! the target directory, and does not affect the tools that the machine has installed.

use crate::cargo;

/// The version that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Checks bans, licences and sources.
pub(crate) fn audit() -> Result<(), String> {
    let tools = cargo::target().join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let deny = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if !deny.is_file() {
        println!("building cargo-deny {CARGO_DENY} into {} (only once)", tools.display());
        let mut install = cargo::command();
        install.args(["install", "--locked", "cargo-deny", "--version", CARGO_DENY, "--root"]);
        succeeds(install.arg(&tools), "cargo install cargo-deny")?;
    }
    let mut check = std::process::Command::new(&deny);
    check.current_dir(cargo::root());
    succeeds(check.args(["check", "bans", "licenses", "sources"]), "cargo deny check")
}

fn succeeds(command: &mut std::process::Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{name}` failed with {status}")),
        Err(error) => Err(format!("`{name}` could not be started: {error}")),
    }
}
