//! What a call costs, beside what it would cost at least.
//!
//! ```text
//! cargo bench -p flame-aws --bench flame -- [GROUP...] [--quick]
//!
//!   conductor ──for each group and condition──▶ measuring process ──▶ its runners (the pool's own)
//!       ▲                                             │        └────▶ the floor's echo process
//!       └──────────── key=value, a line each ─────────┘
//! ```
//!
//! Every process of the picture is this one executable in another [role](command::Role). Each
//! group has a measuring process of its own, so that no figure depends on what ran before it, and
//! takes turns between the floor and ours, so that both see the same machine. `README.md` beside
//! this folder says what each figure means.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't measure must stop")]

mod boot;
mod burst;
mod command;
mod condition;
mod conduct;
mod cpu;
mod failure;
mod figures;
mod floor;
mod functions;
mod group;
mod latency;
mod local;
mod memory;
mod pools;
mod report;
mod sample;
mod throughput;
mod transfer;

use std::process::ExitCode;

use flame_aws::{App, AppError};

use crate::command::Role;
use crate::condition::Condition;

fn main() -> ExitCode {
    // A runner is started with FLAME_PARENT and no arguments of ours.
    if flame_aws::is_runner() {
        return serve();
    }
    match command::parse(std::env::args().skip(1)) {
        Ok(Role::Conduct(request)) => return conduct::conduct(&request),
        Ok(Role::Measure(measurement)) => measurement.run(),
        Ok(Role::Echo(echo)) => {
            Condition::of_runners().pin();
            echo.run();
        }
        // All that a copy of the app has to do before it can be of any use.
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
