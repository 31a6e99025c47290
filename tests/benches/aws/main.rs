//! The cost of a runner on AWS, compared with a bare process there, measured in the emulator, and the
//! speed of a code store in its S3.
//!
//! ```text
//! cargo bench -p flame-tests --bench aws -- [--quick]
//!
//!   this process ──▶ the emulator ──▶ tasks and environments: copies of this executable
//!     single_runner: one runner and one bare start     many_runners: a hundred, or fifty, at once
//!     baseline: the bare processes                     report: the table and the JSON file
//!     code_store: downloads of this executable
//! ```
//!
//! AWS takes seconds where the emulator takes milliseconds. Only the difference from the emulator's
//! own bare start counts, since that is the cost of flame-aws. The figures join those of the other
//! benchmark in `target/bench.json`; `control/benches/README.md` explains each.

mod baseline;
mod code_store;
mod functions;
mod many_runners;
mod report;
mod sample;
mod single_runner;

use std::process::ExitCode;

use flame_aws::{App, AppError};
use flame_tests::demo::Db;
use flame_tests::emulator;

use crate::report::Report;
use crate::sample::Effort;

const USAGE: &str = "\
cargo bench -p flame-tests --bench aws -- [--quick]

  --quick  fewer rounds, for a first look; do not keep these figures";

fn main() -> ExitCode {
    if let Some(process) = baseline::BareProcess::read() {
        process.run();
        return ExitCode::SUCCESS;
    }
    // A runner's arguments are those of its task or function, not options of the benchmark.
    let effort = match flame_aws::is_runner() {
        true => Ok(Effort::Full),
        false => effort(std::env::args().skip(1)),
    };
    let effort = match effort {
        Ok(effort) => effort,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    // The state that the functions of the test harness need: each copy checks that it is
    // registered.
    let app = App::new().state(Db("bench".to_owned()));
    let ran = sample::runtime().block_on(app.run(async || {
        let report = tokio::spawn(measure(effort)).await;
        Ok::<_, AppError>(report.expect("a measurement without a panic"))
    }));
    if let Err(left) = emulator::end() {
        eprintln!("{left}");
    }
    let report = match ran {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{report}");
    match report.save() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED the report could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(effort: Effort) -> Report {
    let mut report = Report::new(effort);
    report.measuring("one task");
    report.extend(single_runner::on_ecs(effort).await);
    report.measuring("one invocation, cold");
    report.extend(single_runner::on_lambda(effort).await);
    report.measuring("one invocation, warm");
    report.extend(single_runner::on_warm_lambda(effort).await);
    report.measuring("many tasks at once");
    report.extend(many_runners::on_ecs(effort).await);
    report.measuring("many invocations at once");
    report.extend(many_runners::on_lambda(effort).await);
    report.measuring("downloads from a code store");
    report.extend(code_store::measure(effort).await);
    report
}

fn effort(arguments: impl Iterator<Item = String>) -> Result<Effort, String> {
    let mut effort = Effort::Full;
    for argument in arguments {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            // Cargo passes it to every benchmark.
            "--bench" => {}
            other => return Err(format!("unknown option `{other}`\n\n{USAGE}")),
        }
    }
    Ok(effort)
}
