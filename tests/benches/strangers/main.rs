//! The time of a live pool's calls while strangers connect to its parent or to its relay, beside
//! the time without strangers.
//!
//! ```text
//! cargo bench -p flame-tests --bench strangers -- [--quick]
//!
//!   crowd ──▶ parent ──▶ runner              the pool's own port
//!   crowd ──▶ flame-relay ──▶ parent, runner  a pool behind a relay
//! ```
//!
//! 10,000 strangers arrive at each target, at most [`PER_SECOND`] in a second. They come from a
//! process of their own, a copy of this executable that takes only the time of the processors that no
//! other process needs. Rounds with and without strangers take turns, so that both see the same
//! machine; they are meaningful only on a machine that is idle otherwise. A quarter of the strangers
//! each has a bad ref, a bad key, bad TLS, and a slow handshake. `flame_tests::strangers` has the
//! details.

mod crowd;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flame_aws::backend::Process;
use flame_aws::{Idle, Pool, PoolBuilder, Relay};
use flame_tests::proxy::free_address;
use flame_tests::relay::KEY;
use flame_tests::relay::program::{self, RelayCommand, RelayProgram};
use flame_tests::{TempDir, demo};

use crate::crowd::{CrowdProcess, TargetArgument};
use crate::report::{Report, Samples};

const USAGE: &str = "\
cargo bench -p flame-tests --bench strangers -- [--quick]

  --quick  fewer rounds, for a first look; do not keep these figures";

/// How many strangers connect in a second.
const PER_SECOND: u32 = 500;
/// How many strangers there are in each round.
const STRANGERS: u32 = 1_000;
const ROUNDS: u32 = 10;

fn main() -> ExitCode {
    if let Some(crowd) = crowd::of_arguments(std::env::args().skip(1)) {
        crowd.run();
        return ExitCode::SUCCESS;
    }
    if let Some(exit) = flame_tests::run_copy() {
        return exit;
    }
    let mut rounds = ROUNDS;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => rounds = 2,
            // Cargo passes it to every benchmark.
            "--bench" => {}
            other => {
                eprintln!("unknown option `{other}`\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let report = flame_tests::runtime().block_on(async {
        // In a task, as in an app.
        tokio::spawn(measure(rounds)).await.expect("a measurement without a panic")
    });
    println!("{report}");
    if let Err(error) = report.save() {
        eprintln!("FAILED the report could not be written: {error}");
        return ExitCode::FAILURE;
    }
    if report.admitted > 0 {
        eprintln!("FAILED {} strangers got in", report.admitted);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn measure(rounds: u32) -> Report {
    let mut report = Report::default();
    let folder = TempDir::new();

    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = warm(Pool::builder("direct").backend(backend)).await;
    let document = folder.files().into_iter().next().expect("the runner has written its document");
    beside("parent", &pool, &TargetArgument::Parent(document), rounds, &mut report).await;
    pool.drain().await;

    let relay = start_relay(&folder).await;
    let option = Relay::new(format!("ws://{}", relay.address())).key(KEY);
    let pool = warm(Pool::builder("relayed").relay(option)).await;
    beside("relay", &pool, &TargetArgument::Relay(relay.address()), rounds, &mut report).await;
    pool.drain().await;
    report
}

async fn warm(pool: PoolBuilder) -> Pool {
    let pool = pool.min(1).max(1).idle_shutdown_after(Idle::Never).start().await.expect("a pool");
    let end = now() + Duration::from_millis(500);
    small_calls(&pool, || now() >= end).await;
    pool
}

async fn start_relay(folder: &TempDir) -> RelayProgram {
    let executable = program::executable().await;
    loop {
        let command = RelayCommand::new(free_address(), &[], &folder.path().join("relay.log"));
        if let Some(relay) = command.start(&executable).await {
            return relay;
        }
    }
}

/// Measures small calls, in turns without strangers and beside them.
async fn beside(
    name: &'static str,
    pool: &Pool,
    target: &TargetArgument,
    rounds: u32,
    report: &mut Report,
) {
    let (mut alone, mut beside) = (Samples::default(), Samples::default());
    for round in 1..=rounds {
        eprintln!("measuring calls beside strangers at the {name}: round {round} of {rounds}");
        let start = now();
        let crowd = CrowdProcess::start(target, STRANGERS, PER_SECOND, u64::from(round));
        let crowd = tokio::spawn(crowd.wait());
        beside.extend(small_calls(pool, || crowd.is_finished()).await);
        report.add_crowd(name, crowd.await.expect("a crowd that does not fail"));
        // As long as with strangers, however many of them the machine lets arrive in a second.
        let end = now() + start.elapsed();
        alone.extend(small_calls(pool, || now() >= end).await);
    }
    report.add_samples(name, &alone, &beside);
}

/// Makes small calls, one after another.
async fn small_calls(pool: &Pool, is_over: impl Fn() -> bool) -> Samples {
    let mut samples = Samples::default();
    while !is_over() {
        let start = now();
        assert_eq!(pool.call(demo::double(21)).await.expect("a call"), 42);
        samples.push(start.elapsed());
    }
    samples
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
