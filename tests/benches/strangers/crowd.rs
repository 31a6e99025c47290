//! The process from which the strangers connect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flame_tests::impostor;
use flame_tests::strangers::{Crowd, Target};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::process::{Child, Command};

/// The first argument of this process, which is no option of the benchmark.
const ROLE: &str = "crowd";
/// How long a slow stranger stays.
const PATIENCE: Duration = Duration::from_secs(2);

/// The target to which the strangers connect, as an argument.
#[derive(Debug)]
pub(crate) enum TargetArgument {
    /// The file with the FLAME_PARENT of a runner.
    Parent(PathBuf),
    Relay(SocketAddr),
}

/// A process that lets strangers connect, and prints what became of them.
pub(crate) struct CrowdProcess(Child);

/// The role of such a process.
pub(crate) struct CrowdRole {
    crowd: Crowd,
    seed: u64,
}

/// The numbers of strangers that have connected, and that were admitted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct CrowdCounts {
    pub(crate) connected: u64,
    pub(crate) admitted: u64,
}

impl CrowdProcess {
    pub(crate) fn start(target: &TargetArgument, count: u32, per_second: u32, seed: u64) -> Self {
        let executable = std::env::current_exe().expect("this executable has a path");
        // Linux's class SCHED_IDLE: the strangers give way to every other process at once, as if they had
        // processors of their own.
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(executable).arg(ROLE);
        match target {
            TargetArgument::Parent(file) => command.arg("parent").arg(file),
            TargetArgument::Relay(address) => command.arg("relay").arg(address.to_string()),
        };
        command.args([count.to_string(), per_second.to_string(), seed.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        Self(command.spawn().expect("the crowd starts"))
    }

    pub(crate) async fn wait(self) -> CrowdCounts {
        let output = self.0.wait_with_output().await.expect("the crowd is a child");
        assert!(output.status.success(), "the crowd failed: {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.split_whitespace().map(|word| word.parse().expect("a number"));
        let mut next = || numbers.next().expect("two numbers");
        CrowdCounts { connected: next(), admitted: next() }
    }
}

/// Reads the arguments of a process of strangers. Returns `None` in any other process.
pub(crate) fn of_arguments(mut arguments: impl Iterator<Item = String>) -> Option<CrowdRole> {
    if arguments.next()? != ROLE {
        return None;
    }
    let mut next = || arguments.next().expect("the benchmark passes all arguments");
    let target = match next().as_str() {
        "parent" => Target::parent(impostor::flame_parent(&PathBuf::from(next()))),
        _ => Target::Relay(next().parse().expect("an address")),
    };
    let mut number = || next().parse::<u32>().expect("a number");
    let (strangers, per_second, seed) = (u64::from(number()), number(), u64::from(number()));
    let crowd = Crowd { strangers, per_second, patience: PATIENCE, targets: vec![target] };
    Some(CrowdRole { crowd, seed })
}

impl CrowdRole {
    pub(crate) fn run(self) {
        let random = StdRng::seed_from_u64(self.seed);
        let visits = flame_tests::runtime().block_on(self.crowd.arrive(random));
        println!("{} {}", visits.counts.values().sum::<u64>(), visits.admitted.len());
    }
}
