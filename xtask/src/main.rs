//! `cargo xtask`: every command of the project. Some steps also need Python, Node.js or a tool that
//! [`tools`] installs or reports as missing.
//!
//! A command is a typed plan ([`plan`]), and a runner ([`run`]) carries it out step by step. Pure
//! functions judge the output of a step ([`counts`], [`forbidden`]). [`USAGE`] lists the commands.
//!
//! The exit code is 0 if everything passed, 1 if a step failed, and 2 if the command line is wrong.

mod audit;
mod cargo;
mod counts;
mod emulator;
mod failures;
mod forbidden;
mod node;
mod plan;
mod run;
mod test_output;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test [STEP...]      run every test of the project, or only the named steps
  test --containers   run the ECS suite with tasks in podman containers, and build and run the images
                      of the runner and of the relay
  test --localstack   run the AWS suites only, against LocalStack (needs Docker and a licence)
  storm [STORM] [--seconds N] [--calls N] [--seed S]
                      run the stress tests, or one of them, for 60 s each and 10,000 calls, or for
                      N s and N calls, and print the counts
  audit               check licences, sources and banned packages with cargo-deny
  bench [-- ARGS...]  run the benchmarks, or only the named groups, and write target/bench.json
  help                print this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        return usage_error("no command was given");
    };
    if rest.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let outcome = match command.as_str() {
        "test" => match plan::test(rest) {
            Ok(steps) => return run::test(&steps),
            Err(error) => return usage_error(&error.to_string()),
        },
        "storm" => match plan::storm(rest) {
            Ok(step) => run::plain(&step),
            Err(error) => return usage_error(&error.to_string()),
        },
        "audit" if rest.is_empty() => audit::audit(),
        "bench" => plan::bench(rest).iter().try_for_each(run::plain),
        "help" | "--help" | "-h" => {
            println!("{}", usage());
            return ExitCode::SUCCESS;
        }
        "audit" => return usage_error("`audit` takes no arguments"),
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

fn usage() -> String {
    format!("{USAGE}\nSteps of `test`, in order: {}", plan::names())
}

/// Reports a mistake in the command line, and prints the usage.
fn usage_error(mistake: &str) -> ExitCode {
    eprintln!("cargo xtask: {mistake}\n\n{}", usage());
    ExitCode::from(2)
}
