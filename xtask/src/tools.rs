//! Tools that a fresh machine may lack. They are installed when a step first needs them.

use std::process::{Command, Stdio};

use crate::cargo;

/// A tool that is not on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// rustfmt, a component of the Rust toolchain.
    Rustfmt,
    /// Clippy, a component of the Rust toolchain.
    Clippy,
    /// podman, runc and debootstrap, packages of the system.
    Podman,
    /// Chromium and chromedriver, packages of the system.
    Chromium,
    /// Node.js with npm, packages of the system.
    Node,
    /// Docker and a LocalStack licence, which can't be installed automatically.
    LocalStack,
}

impl Tool {
    /// Installs the tool if it is missing.
    pub(crate) fn ensure(self) -> Result<(), String> {
        match self {
            Self::Rustfmt => component("rustfmt", "fmt"),
            Self::Clippy => component("clippy", "clippy"),
            Self::Podman => podman(),
            Self::Chromium => chromium(),
            Self::Node => node(),
            Self::LocalStack => localstack(),
        }
    }
}

/// Ensures a component of the toolchain, by its name and by the cargo subcommand that it provides.
fn component(component: &str, subcommand: &str) -> Result<(), String> {
    if is_subcommand(subcommand) {
        return Ok(());
    }
    println!("`cargo {subcommand}` is missing: running `rustup component add {component}`");
    let added = Command::new("rustup").args(["component", "add", component]).status();
    match added {
        Ok(status) if status.success() && is_subcommand(subcommand) => Ok(()),
        Ok(_) => Err(format!(
            "`cargo {subcommand}` is missing, and `rustup component add {component}` did not help"
        )),
        Err(error) => Err(format!(
            "`cargo {subcommand}` is missing, and rustup can't be started to add it ({error}): \
             install the component {component} of this Rust toolchain"
        )),
    }
}

/// Ensures podman and runc, and debootstrap, with which the suite of the images makes images that it
/// can't pull. Root installs them with apt-get.
fn podman() -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("tests in containers need Linux on x86_64".to_owned());
    }
    if !is_root() {
        return Err(
            "tests in containers need root, since podman uses the host's network and cgroups: run \
             this as root, for example in a virtual machine; what is missing is then installed"
                .to_owned(),
        );
    }
    let by_hand = "install all three, on Debian and Ubuntu with `apt-get install \
                   --no-install-recommends podman runc debootstrap`";
    let programs = ["podman", "runc", "debootstrap"];
    apt(&programs, &programs, by_hand)
}

/// The packages for podman as an engine: `runc` runs containers, `catatonit` is process 1 in them.
const ENGINE: [&str; 3] = ["podman", "runc", "catatonit"];

/// Checks that the suites find a container engine, as `tests/src/docker.rs` looks for it. It is not
/// installed, since an engine is more than a tool. The error says in one line how to get one.
pub(crate) fn engine() -> Result<(), String> {
    let is_named = std::env::var_os("DOCKER_HOST").is_some();
    let has_podman = || cfg!(target_os = "linux") && is_root() && missing_of(&ENGINE).is_empty();
    if is_named || has_podman() {
        return Ok(());
    }
    Err("there is no container engine, so no test runs on one: as root on Linux, run `apt-get \
         install --no-install-recommends podman runc catatonit docker-registry`; or set DOCKER_HOST \
         to an engine on this machine"
        .to_owned())
}

/// Ensures Chromium and chromedriver. Root installs them with apt-get. Without root the step goes
/// on, and the browser suite shows its tests as ignored: not every machine can have a browser.
fn chromium() -> Result<(), String> {
    if is_installed("chromedriver") && BROWSERS.into_iter().any(is_installed) {
        return Ok(());
    }
    let by_hand = "install both, on Debian with `apt-get install --no-install-recommends chromium \
                   chromium-driver`";
    if !is_root() || !is_installed("apt-get") {
        println!(
            "Chromium or chromedriver is missing and can't be installed without root and apt-get: \
             the browser tests are ignored; {by_hand}"
        );
        return Ok(());
    }
    apt(&["chromium", "chromedriver"], &["chromium", "chromium-driver"], by_hand)
}

/// The names of Chromium on various systems. chromedriver looks for the same names.
const BROWSERS: [&str; 3] = ["chromium", "google-chrome", "chromium-browser"];

/// The oldest version of Node.js that the CDK constructs support, as `cdk/package.json` says.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Ensures Node.js and npm. Root installs them with apt-get.
fn node() -> Result<(), String> {
    let (major, minor) = OLDEST_NODE;
    let by_hand = format!(
        "install Node.js {major}.{minor} or newer with npm, for example from https://nodejs.org"
    );
    let programs = ["node", "npm"];
    let missing = missing_of(&programs);
    if !missing.is_empty() {
        if !is_root() || !is_installed("apt-get") {
            return Err(format!("{} can't be found: {by_hand}", missing.join(" and ")));
        }
        apt(&programs, &["nodejs", "npm"], &by_hand)?;
    }
    let output = Command::new("node").arg("--version").stdin(Stdio::null()).output();
    let version = output.map_err(|error| format!("`node` can't be started: {error}"))?.stdout;
    let version = String::from_utf8_lossy(&version);
    match node_version(&version) {
        Some(found) if found >= OLDEST_NODE => Ok(()),
        _ => Err(format!("the version of Node.js is {}: {by_hand}", version.trim())),
    }
}

/// Reads a version such as `v20.19.2`.
fn node_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Installs packages with apt-get if one of these programs is missing. Needs root.
fn apt(programs: &[&str], packages: &[&str], by_hand: &str) -> Result<(), String> {
    let missing = missing_of(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" and ");
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    for arguments in [["update"].as_slice(), &install] {
        println!("{missing} can't be found: running `apt-get {}`", arguments.join(" "));
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        match apt.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let called = arguments.join(" ");
                return Err(format!("`apt-get {called}` failed with {status}: {by_hand}"));
            }
            Err(error) => {
                return Err(format!("apt-get can't be started ({error}): {by_hand}"));
            }
        }
    }
    match missing_of(programs).as_slice() {
        [] => Ok(()),
        still => Err(format!(
            "{} can't be started although the packages are installed",
            still.join(" and ")
        )),
    }
}

/// Checks for Docker and the licence, with the script that runs LocalStack.
fn localstack() -> Result<(), String> {
    let mut check = Command::new("python3");
    check
        .current_dir(cargo::root())
        .args(["localstack/with_localstack.py", "check"])
        .stdin(Stdio::null());
    let checked = check.output().map_err(|error| {
        format!("`python3` can't be started ({error}): install Python 3.11 or newer")
    })?;
    if checked.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&checked.stderr).trim().to_owned())
}

fn missing_of<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    programs.iter().copied().filter(|program| !is_installed(program)).collect()
}

fn is_installed(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn is_subcommand(subcommand: &str) -> bool {
    succeeds(cargo::command().args([subcommand, "--version"]))
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_compared_by_its_numbers() {
        assert_eq!(node_version("v20.19.2\n"), Some((20, 19)));
        assert!(node_version("v18.20.4") < Some(OLDEST_NODE));
        assert!(node_version("v20.9.0") < Some(OLDEST_NODE));
        assert!(node_version("v22.0.0") > Some(OLDEST_NODE));
        assert_eq!(node_version("20.19.2"), None);
        assert_eq!(node_version("v20"), None);
    }

    #[test]
    fn the_oldest_node_is_that_of_the_package() {
        let package = std::fs::read_to_string(cargo::root().join("cdk/package.json")).unwrap();
        let (major, minor) = OLDEST_NODE;
        assert!(package.contains(&format!("\"node\": \">={major}.{minor}\"")));
    }
}
