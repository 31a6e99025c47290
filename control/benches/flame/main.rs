//! The cost of a call, beside the least that it could cost.
//!
//! ```text
//! cargo bench -p flame-aws --bench flame -- [GROUP...] [--quick]
//!
//!   coordinator ──for each group and condition──▶ measuring process ──▶ the runners of its pool
//!       ▲                                             │          └────▶ the baseline's echo process
//!       └──────────── key=value on each line ─────────┘
//! ```
//!
//! A baseline is the same exchange without this library. Every process in the picture is this
//! executable in another [role](command::Role). Each group has a measuring process of its own, so
//! that no figure depends on an earlier group. The process alternates between the baseline and the
//! library, so that both are measured on an equally busy machine. `README.md` beside this folder
//! explains each figure.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't measure must stop")]

mod baseline;
mod boot;
mod burst;
mod code_sync;
mod command;
mod condition;
mod coordinator;
mod cpu;
mod failure;
mod figures;
mod functions;
mod group;
mod latency;
mod local;
mod measurement;
mod memory;
mod observability;
mod pools;
mod process;
mod proxy;
mod relay;
mod report;
mod resume;
mod sample;
mod throughput;
mod transfer;

use std::process::ExitCode;

use flame_aws::{App, AppError};

use crate::command::Role;
use crate::condition::Condition;

fn main() -> ExitCode {
    // Runners have no arguments of the benchmark.
    if flame_aws::is_runner() {
        return serve();
    }
    match command::parse(std::env::args().skip(1)) {
        Ok(Role::Coordinate(request)) => return coordinator::run(&request),
        Ok(Role::Measure(measurement)) => measurement.run(),
        Ok(Role::Echo(echo)) => {
            Condition::of_runners().pin();
            echo.run();
        }
        Ok(Role::Hop(hop)) => {
            Condition::of_runners().pin();
            hop.run();
        }
        Ok(Role::Relay(relay)) => {
            Condition::of_runners().pin();
            relay.run();
        }
        Ok(Role::RawRunners(runners)) => runners.run(),
        // The least that any copy of the app has to do.
        Ok(Role::BareStart) => Condition::of_runners().runtime().block_on(async {}),
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn serve() -> ExitCode {
    let condition = Condition::of_runners();
    condition.pin();
    let served =
        condition.runtime().block_on(App::new().run(async || Err::<(), AppError>(not_reached())));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn not_reached() -> AppError {
    panic!("a runner ends inside `run`")
}
