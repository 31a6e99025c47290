//! Parent, relays and runners on a simulated network, in virtual time: hours of faults in seconds.
//!
//! Each host of a simulation is a tokio runtime of its own with a paused clock. A loop lets the same
//! short time pass for all of them, one after the other, and moves bytes between them. The code of
//! parent, relay and runner is that of production, TLS included; only the sockets are simulated.
//!
//! A seed decides everything: how many relays and runners there are, the latencies, what is called,
//! whether strangers connect, and which faults happen when. In a third of the seeds each fault is
//! one that a call must survive, and every call must get its result. In the others everything may
//! happen at any time, and the error of each call must be true. No stranger may get in. After the
//! faults the pool must answer a call and drain, and then no runner, no task, no connection and no
//! registration may be left.
//!
//! ```text
//! cargo test --workspace --test simulation                        the default seeds
//! cargo test --workspace --test simulation -- --seeds 100..200    others
//! cargo test --workspace --test simulation -- --seed 7 --trace    one seed, and what happens in it
//! ```
//!
//! `RUST_LOG` shows the log of the library, with the time of the simulation.
//!
//! # What a seed does not decide
//! On Linux, two runs of a seed have the same trace: the tests `seed_.._replays_exactly` compare
//! them.
//! For that each seed has a process of its own, because tokio counts the runtimes of a process, and
//! `entropy.rs` replaces the operating system's random numbers. These are not determined:
//! - the keys of TLS, and so the bytes on the network and, by a few bytes, the length of handshakes;
//! - the thread that writes the log.
//!
//! They change nothing in the traces.
//!
//! Not simulated: threads, so the functions that are called are all async; name resolution; and the
//! platforms, which have suites of their own.

mod backend;
mod calls;
mod certificate;
mod entropy;
mod faults;
mod host;
mod network;
mod options;
mod parent;
mod relays;
mod scenario;
mod simulation;
mod strangers;
mod trace;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::certificate::Certificate;
use crate::options::Options;
use crate::scenario::Scenario;
use crate::simulation::Simulation;

/// The seeds that are run twice, to compare their traces. In the second one, a relay drains while a
/// runner is connected through it.
const REPLAYED: [u64; 2] = [0, 29];
/// A seed that takes longer than this has failed: a task may be looping.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let (seeds, rest) = match Options::read(std::env::args()) {
        Ok(Options::Seed(..)) if certificate::paths().is_none() => return run_with_certificate(),
        Ok(Options::Seed(seed, is_printed)) => return run_here(seed, is_printed),
        Ok(Options::Seeds(seeds, rest)) => (seeds, rest),
        Err(error) => {
            eprintln!("simulation: {error}");
            return ExitCode::from(2);
        }
    };
    let arguments = Arguments::from_iter(rest);
    let tests = network::tests::TESTS.iter().map(|(name, test)| {
        Trial::test(*name, || {
            test();
            Ok(())
        })
    });
    let replays = REPLAYED.map(|seed| {
        let replay = Trial::test(format!("seed_{seed}_replays_exactly"), move || {
            let (first, second) = (run(seed)?, run(seed)?);
            if first == second { Ok(()) } else { Err(format!("{first}\n{second}").into()) }
        });
        replay.with_ignored_flag(!cfg!(target_os = "linux"))
    });
    let seeds =
        seeds.map(|seed| Trial::test(format!("seed_{seed}"), move || run(seed).map(|_| ())));
    let trials = tests.chain(replays).chain(seeds).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs this program again, with the same arguments and a certificate.
fn run_with_certificate() -> ExitCode {
    let certificate = Certificate::new();
    let again = std::env::current_exe().and_then(|program| {
        let arguments = std::env::args_os().skip(1);
        Command::new(program).args(arguments).envs(certificate.variables()).status()
    });
    if again.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed in this process.
fn run_here(seed: u64, is_printed: bool) -> ExitCode {
    trace::show_log();
    // On a thread that has not used any randomness yet.
    let simulation = move || {
        entropy::seed(seed);
        let scenario = Scenario::of(seed);
        println!("{scenario}");
        Simulation::new(scenario, is_printed).run()
    };
    let ended = std::thread::spawn(simulation).join();
    let Ok((violations, summary)) = ended else { return ExitCode::FAILURE };
    println!("{summary}");
    for violation in &violations {
        println!("VIOLATION: {violation}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed in a process of its own, and returns what it prints.
fn run(seed: u64) -> Result<String, Failed> {
    let program = std::env::current_exe()?;
    let certificate = Certificate::new();
    let mut child = Command::new(program)
        .args(["--seed", &seed.to_string()])
        .envs(certificate.variables())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let id = rustix::process::Pid::from_child(&child);
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    });
    let errors = child.stderr.take().map(|mut errors| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(&mut errors, &mut text);
            text
        })
    });
    let mut output = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        std::io::Read::read_to_string(&mut pipe, &mut output)?;
    }
    let errors = errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
    // The process is not waited for yet, so its id is not used by another one.
    drop(ended);
    let _ = watchdog.join();
    let status = child.wait()?;
    if status.success() {
        return Ok(output);
    }
    let again = "cargo test --workspace --test simulation -- --seed";
    Err(format!("{status}\n{output}{errors}\nto repeat: {again} {seed} --trace").into())
}
