//! The command line: what a person types, and what the processes of the benchmark tell each other.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::condition::Condition;
use crate::floor::Echo;
use crate::group::{Group, Measurement};
use crate::sample::Effort;

pub(crate) const USAGE: &str = "\
cargo bench -p flame-aws --bench flame -- [GROUP...] [--quick]

  GROUP    latency, local, cpu, throughput, transfer, boot, burst, failure, memory; default: all
  --quick  fewer rounds: a look, not a figure to keep";

/// What this process is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// Has everything measured, and reports.
    Conduct(Request),
    /// Measures one group under one condition.
    Measure(Measurement),
    /// The other side of a floor.
    Echo(Echo),
    /// Starts a runtime, and ends.
    BareStart,
}

/// What a person asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) groups: Vec<Group>,
    pub(crate) effort: Effort,
}

/// The word that no group is called by: what follows is one process talking to another.
const AS: &str = "as";

/// Reads the arguments, without the executable's name.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Role, String> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [AS, "bare-start"] => Ok(Role::BareStart),
        [AS, "echo", echo @ ..] => Echo::parse(echo).map(Role::Echo),
        [AS, "measure", rest @ ..] => Measurement::parse(rest).map(Role::Measure),
        words => request(words).map(Role::Conduct),
    }
}

fn request(words: &[&str]) -> Result<Request, String> {
    let mut request = Request { groups: Vec::new(), effort: Effort::Full };
    for word in words {
        match *word {
            "--quick" => request.effort = Effort::Quick,
            // Cargo says so to every benchmark.
            "--bench" => {}
            word => request.groups.push(
                Group::parse(word)
                    .ok_or_else(|| format!("there is no group or option `{word}`\n\n{USAGE}"))?,
            ),
        }
    }
    if request.groups.is_empty() {
        request.groups = Group::ALL.to_vec();
    }
    Ok(request)
}

impl Measurement {
    /// The command that starts the process of this measurement; its figures come on standard
    /// output.
    pub(crate) fn command(&self) -> Command {
        let mut command = copy(&["measure", self.group.name()]);
        if let Some(core) = self.condition.core {
            command.args(["--core", &core.to_string()]);
        }
        if let Some(peer) = self.condition.peer {
            command.args(["--peer", &peer.to_string()]);
            command.env(Condition::PEER_CORE, peer.to_string());
        }
        if let Some(workers) = self.condition.workers {
            command.args(["--workers", &workers.to_string()]);
        }
        if self.effort == Effort::Quick {
            command.arg("--quick");
        }
        command
    }

    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut words = words.iter();
        let group = words.next().and_then(|name| Group::parse(name)).ok_or("which group?")?;
        let mut measurement = Self { group, condition: Condition::default(), effort: Effort::Full };
        while let Some(word) = words.next() {
            let condition = &mut measurement.condition;
            match *word {
                "--quick" => measurement.effort = Effort::Quick,
                "--core" => condition.core = words.next().and_then(|n| n.parse().ok()),
                "--peer" => condition.peer = words.next().and_then(|n| n.parse().ok()),
                "--workers" => condition.workers = words.next().and_then(|n| n.parse().ok()),
                word => return Err(format!("a measurement has no option `{word}`")),
            }
        }
        Ok(measurement)
    }
}

/// A copy of this executable in another role.
pub(crate) fn copy(role: &[impl AsRef<OsStr>]) -> Command {
    let executable = std::env::current_exe().expect("the path of this executable");
    let mut command = Command::new(executable);
    command.arg(AS).args(role).stdin(Stdio::null());
    command
}
