//! `cargo xtask`: every command of the project, from a fresh clone, with nothing but Rust installed.
//!
//! ```text
//! cargo xtask test [STEP...]      every test of the project, or only the named steps
//! cargo xtask test --containers   the ECS suite alone, with tasks that are real containers
//! cargo xtask test --localstack   the suites on AWS alone, against LocalStack in Docker
//! cargo xtask storm [--seconds N] [--seed S]
//!                                 the storms, which the test has for seconds, for a minute each
//! cargo xtask audit               licences, sources and banned packages (builds cargo-deny first)
//! cargo xtask bench [-- ARGS...]  the benchmarks, `aws` or other groups alone where they are named
//! ```
//!
//! A command is a typed plan ([`plan`]) and a runner ([`run`]) that carries it out step by step;
//! what a step says on its way is judged by pure functions ([`counts`], [`forbidden`]).
//! The exit code is 0 (all well), 1 (a step failed) or 2 (no such command or step).

mod audit;
mod cargo;
mod counts;
mod emulator;
mod forbidden;
mod plan;
mod run;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [STEP...]      run every test of the project, or only the named steps
cargo xtask test --containers   run the ECS suite alone, its tasks being containers of podman
cargo xtask test --localstack   run the suites on AWS alone, against LocalStack, with a licence of it
cargo xtask storm [--seconds N] [--seed S]
                                run each of the three storms for 60 s, or N, and print the counts
cargo xtask audit               check licences, sources and banned packages with cargo-deny
cargo xtask bench [-- ARGS...]  run the benchmarks; they write target/bench.json
cargo xtask help                print this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        return usage_error("which command?");
    };
    let outcome = match command.as_str() {
        "test" => match plan::test(rest) {
            Ok(steps) => return run::test(&steps),
            Err(wrong) => return usage_error(&wrong.to_string()),
        },
        "storm" => match plan::storm(rest) {
            Ok(step) => run::plain(&step),
            Err(wrong) => return usage_error(&wrong.to_string()),
        },
        "audit" if rest.is_empty() => audit::audit(),
        "bench" => plan::bench(rest).iter().try_for_each(run::plain),
        "help" | "--help" | "-h" => {
            println!("{}\nSteps of the test: {}", USAGE, plan::names());
            return ExitCode::SUCCESS;
        }
        "audit" => return usage_error("audit takes no arguments"),
        other => return usage_error(&format!("there is no command `{other}`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the command line, and what would be right.
fn usage_error(what: &str) -> ExitCode {
    eprintln!("cargo xtask: {what}\n\n{USAGE}\nSteps of the test: {}", plan::names());
    ExitCode::from(2)
}
