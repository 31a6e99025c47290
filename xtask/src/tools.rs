//! Tools that a fresh machine may lack, installed when they are first needed.

use std::process::{Command, Stdio};

use crate::cargo;

/// Something that is not on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A component of the Rust toolchain.
    Rustfmt,
    /// The other one.
    Clippy,
    /// podman and runc, of the system.
    Podman,
    /// Chromium and its driver, of the system.
    Chromium,
    /// Docker and a licence of LocalStack: nothing that could be installed.
    LocalStack,
}

impl Tool {
    /// Makes sure that it is there: installs it if it is not.
    pub(crate) fn ensure(self) -> Result<(), String> {
        match self {
            Self::Rustfmt => component("rustfmt", "fmt"),
            Self::Clippy => component("clippy", "clippy"),
            Self::Podman => podman(),
            Self::Chromium => chromium(),
            Self::LocalStack => localstack(),
        }
    }
}

/// A component by its name for rustup, and the subcommand of cargo that comes with it.
fn component(component: &str, subcommand: &str) -> Result<(), String> {
    if is_subcommand(subcommand) {
        return Ok(());
    }
    println!("`cargo {subcommand}` is missing: rustup component add {component}");
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

/// podman and runc, by apt where this is root's machine.
fn podman() -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("containers are tested on Linux on x86_64 alone".to_owned());
    }
    if !is_root() {
        return Err(
            "containers are tested by root alone, as podman is to use the host's network and \
                    cgroups: run it as root, in a virtual machine if you like; podman and runc are \
                    then installed where they are missing"
                .to_owned(),
        );
    }
    let by_hand = "install both, on Debian and Ubuntu with `apt-get install \
                   --no-install-recommends podman runc`";
    apt(&["podman", "runc"], &["podman", "runc"], by_hand)
}

/// Chromium and its driver, by apt where this is root's machine. Elsewhere the suite that needs them
/// shows its tests as ignored, with the reason: not every machine that builds this can have a browser.
fn chromium() -> Result<(), String> {
    if is_there("chromedriver") && BROWSERS.into_iter().any(is_there) {
        return Ok(());
    }
    let by_hand = "install both, on Debian with `apt-get install --no-install-recommends chromium \
                   chromium-driver`";
    if !is_root() || !is_there("apt-get") {
        println!(
            "Chromium and chromedriver can't be found, and root's apt-get, which would install them, \
             is not there: the tests in a browser are not run; {by_hand}"
        );
        return Ok(());
    }
    apt(&["chromium", "chromedriver"], &["chromium", "chromium-driver"], by_hand)
}

/// What chromedriver starts, by the names that systems have for it.
const BROWSERS: [&str; 3] = ["chromium", "google-chrome", "chromium-browser"];

/// Installs packages of the system where one of these programs is missing. This must be root's machine.
fn apt(programs: &[&str], packages: &[&str], by_hand: &str) -> Result<(), String> {
    let missing = missing_of(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" and ");
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    for arguments in [["update"].as_slice(), &install] {
        println!("{missing} can't be found: apt-get {}", arguments.join(" "));
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        match apt.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let called = arguments.join(" ");
                return Err(format!("`apt-get {called}` ended with {status}: {by_hand}"));
            }
            Err(error) => {
                return Err(format!("apt-get can't be started ({error}): {by_hand}"));
            }
        }
    }
    match missing_of(programs).as_slice() {
        [] => Ok(()),
        still => Err(format!("{} can't be started, though installed", still.join(" and "))),
    }
}

/// What the script that runs it says is missing.
fn localstack() -> Result<(), String> {
    let mut check = Command::new("python3");
    check.current_dir(cargo::root()).args(["localstack/with_localstack.py", "check"]).stdin(Stdio::null());
    let checked = check.output().map_err(|error| {
        format!("`python3` can't be started ({error}): install Python 3.11 or newer")
    })?;
    if checked.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&checked.stderr).trim().to_owned())
}

fn missing_of<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    programs.iter().copied().filter(|program| !is_there(program)).collect()
}

fn is_there(program: &str) -> bool {
    answers(Command::new(program).arg("--version"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn is_subcommand(subcommand: &str) -> bool {
    answers(cargo::command().args([subcommand, "--version"]))
}

fn answers(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
