//! Tools that a fresh machine may lack, installed when they are first needed.

use std::process::{Command, Stdio};

use crate::cargo;

/// A component of the Rust toolchain that is not in every installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Rustfmt,
    Clippy,
}

impl Component {
    /// Its name for rustup, and the subcommand of cargo that comes with it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Rustfmt => ("rustfmt", "fmt"),
            Self::Clippy => ("clippy", "clippy"),
        }
    }

    /// Makes sure that it is there, through rustup if it is not.
    pub(crate) fn ensure(self) -> Result<(), String> {
        let (component, subcommand) = self.names();
        if answers(subcommand) {
            return Ok(());
        }
        println!("`cargo {subcommand}` is missing: rustup component add {component}");
        let added = Command::new("rustup").args(["component", "add", component]).status();
        match added {
            Ok(status) if status.success() && answers(subcommand) => Ok(()),
            Ok(_) => Err(format!(
                "`cargo {subcommand}` is missing, and `rustup component add {component}` did not help"
            )),
            Err(error) => Err(format!(
                "`cargo {subcommand}` is missing, and rustup can't be started to add it ({error}): \
                 install the component {component} of this Rust toolchain"
            )),
        }
    }
}

fn answers(subcommand: &str) -> bool {
    cargo::command()
        .args([subcommand, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
