//! The command line, for people and between the benchmark's own processes.

use std::process::Command;

use crate::baseline::{Echo, Hop};
use crate::condition::Condition;
use crate::group::Group;
use crate::measurement::Measurement;
use crate::process::{self, AS};
use crate::relay::{RawRunners, RelayRole};
use crate::sample::Effort;

pub(crate) const USAGE: &str = "\
cargo bench -p flame-aws --bench flame -- [GROUP...] [--quick]

  GROUP    latency, local, cpu, throughput, transfer, boot, burst, failure, memory, relay,
           relay_pairs, resume, code_sync (default: all)
  --quick  fewer rounds, for a first look: the figures are not precise enough to keep";

/// The role of a process of the benchmark.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// Starts the measuring processes, and reports.
    Coordinate(BenchRequest),
    /// Measures one group under one condition.
    Measure(Measurement),
    /// The other side of a baseline.
    Echo(Echo),
    /// A forwarder between the two sides of a baseline.
    Hop(Hop),
    /// A relay.
    Relay(RelayRole),
    /// The sockets of many runners at a relay.
    RawRunners(RawRunners),
    /// Starts a runtime, and exits.
    BareStart,
}

/// The groups that a person wants measured.
#[derive(Debug, PartialEq)]
pub(crate) struct BenchRequest {
    pub(crate) groups: Vec<Group>,
    pub(crate) effort: Effort,
}

/// Reads the arguments, without the executable's name.
///
/// # Errors
/// Returns a message that says what is wrong, with the usage.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Role, String> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [AS, "bare-start"] => Ok(Role::BareStart),
        [AS, "echo", echo @ ..] => Echo::parse(echo).map(Role::Echo),
        [AS, "hop", hop @ ..] => Hop::parse(hop).map(Role::Hop),
        [AS, "relay", relay @ ..] => RelayRole::parse(relay).map(Role::Relay),
        [AS, "runners", runners @ ..] => RawRunners::parse(runners).map(Role::RawRunners),
        [AS, "measure", rest @ ..] => Measurement::parse(rest).map(Role::Measure),
        words => request(words).map(Role::Coordinate),
    }
}

fn request(words: &[&str]) -> Result<BenchRequest, String> {
    let mut request = BenchRequest { groups: Vec::new(), effort: Effort::Full };
    for word in words {
        match *word {
            "--quick" => request.effort = Effort::Quick,
            // Cargo passes this to every benchmark.
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
    /// Returns the command of the process that takes this measurement. It prints the figures.
    pub(crate) fn command(&self) -> Command {
        let mut command = process::copy(&["measure", self.group.name()]);
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
        let group = words
            .next()
            .and_then(|name| Group::parse(name))
            .ok_or("a measurement needs the name of a group")?;
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
