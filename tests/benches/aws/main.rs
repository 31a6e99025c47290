//! What a runner on AWS costs beside the bare start of a process there, in the emulator.
//!
//! ```text
//! cargo bench -p flame-tests --bench aws -- [--quick]
//!
//!   this process ──▶ its emulator ──▶ tasks and environments: copies of this executable
//!     one.rs: one runner beside one bare start     fleet.rs: a hundred, or fifty, at once
//! ```
//!
//! The emulator stands in for AWS, which takes seconds where it takes milliseconds. What is left
//! when its own bare start is taken away is ours, and only that is meant. The figures join those
//! of the other benchmark in `target/bench.json`; `control/benches/README.md` says what each means.

mod bare;
mod fleet;
mod functions;
mod one;
mod report;
mod sample;

use std::process::ExitCode;

use flame_aws::{App, AppError};
use flame_tests::demo::Db;
use flame_tests::emulator;

use crate::report::Report;
use crate::sample::Effort;

const USAGE: &str = "\
cargo bench -p flame-tests --bench aws -- [--quick]

  --quick  fewer rounds: a look, not a figure to keep";

fn main() -> ExitCode {
    if let Some(bare) = bare::Bare::read() {
        bare.run();
        return ExitCode::SUCCESS;
    }
    // A runner has the arguments of its task or function, which say nothing.
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
    // The state of the functions that come with the harness: every copy checks that it is there.
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
    report.extend(one::on_ecs(effort).await);
    report.measuring("one invocation, cold");
    report.extend(one::on_lambda(effort).await);
    report.measuring("one invocation, warm");
    report.extend(one::on_warm_lambda(effort).await);
    report.measuring("many tasks at once");
    report.extend(fleet::on_ecs(effort).await);
    report.measuring("many invocations at once");
    report.extend(fleet::on_lambda(effort).await);
    report
}

fn effort(arguments: impl Iterator<Item = String>) -> Result<Effort, String> {
    let mut effort = Effort::Full;
    for argument in arguments {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            // Cargo says so to every benchmark.
            "--bench" => {}
            other => return Err(format!("there is no option `{other}`\n\n{USAGE}")),
        }
    }
    Ok(effort)
}
