//! Carries out a plan: prints headings, the output of each step, and times and counts at the end.

use std::io::{self, IsTerminal, Read, Write};
use std::process::{ChildStdout, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cargo;
use crate::emulator;
use crate::forbidden;
use crate::node;
use crate::plan::{Action, CargoCommand, Step};
use crate::test_output::{TestOutput, TestResults};
use crate::tools::{self, Tool};

/// Runs the steps until one fails. Then prints the failed tests, the table of times and, on the last
/// line, the counts.
pub(crate) fn test(steps: &[Step]) -> ExitCode {
    let mut summary = Summary::default();
    let outcome = steps.iter().enumerate().try_for_each(|(index, step)| {
        println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.shows);
        let started = now();
        let outcome = carry_out(&step.action, &mut summary.results);
        summary.times.push((step.name, started.elapsed(), outcome.is_ok()));
        outcome.map_err(|error| format!("step `{}` failed: {error}", step.name))
    });
    // A run prints thousands of lines, so what failed is said again at their end.
    if !summary.results.failures.is_empty() {
        print!("\n{}", summary.results.failures);
    }
    // The reason comes before the table, so that the counts are always the last line.
    if let Err(error) = &outcome {
        println!("\n{error}");
    }
    println!("\n{}{}", summary.table(steps), summary.results.counts);
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one step, without a table or counts.
pub(crate) fn plain(step: &Step) -> Result<(), String> {
    carry_out(&step.action, &mut TestResults::default())
}

fn carry_out(action: &Action, results: &mut TestResults) -> Result<(), String> {
    match action {
        Action::Forbid { package } => forbidden::check(package),
        Action::Cargo(call) => {
            prepare(call)?;
            let status = command(call).status().map_err(|error| not_started(call, &error))?;
            judge(call, status)
        }
        Action::CargoEach(calls) => {
            calls.iter().try_for_each(|call| carry_out(&Action::Cargo(call.clone()), results))
        }
        Action::EmulatorTests => {
            results.counts += emulator::test()?;
            Ok(())
        }
        Action::NodeTests { script, built } => {
            if let Some(call) = built {
                carry_out(&Action::Cargo(call.clone()), results)?;
            }
            results.counts += node::test(script)?;
            Ok(())
        }
        Action::EngineTests(call) => match tools::engine() {
            Ok(()) => carry_out(&Action::CargoTests(call.clone()), results),
            Err(how_to_get_one) => {
                println!("{how_to_get_one}");
                Ok(())
            }
        },
        Action::CargoTests(call) => {
            prepare(call)?;
            let (status, found) = reading_results(call)?;
            let ran_none = found.counts.is_empty();
            results.append(found);
            judge(call, status)?;
            // Both steps have tests, so a run without any has selected the wrong ones.
            if ran_none {
                return Err(format!("`{}` ran no test", line(call)));
            }
            Ok(())
        }
    }
}

fn prepare(call: &CargoCommand) -> Result<(), String> {
    call.needs.map_or(Ok(()), Tool::ensure)?;
    println!("$ {}", line(call));
    Ok(())
}

/// Runs cargo, passes its output on, and reads the results of tests in it.
fn reading_results(call: &CargoCommand) -> Result<(ExitStatus, TestResults), String> {
    let mut command = command(call);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(call, &error))?;
    let mut output = TestOutput::default();
    // Even if our own output is a broken pipe, the child has to be waited for first.
    let forwarded = match child.stdout.take() {
        Some(stdout) => forward(stdout, &mut output),
        None => Ok(()),
    };
    let status = child.wait().map_err(|error| format!("`{}`: {error}", line(call)))?;
    forwarded.map_err(|error| format!("the output of cargo could not be forwarded: {error}"))?;
    Ok((status, output.finish()))
}

fn forward(mut from: ChildStdout, output: &mut TestOutput) -> io::Result<()> {
    let mut to = io::stdout().lock();
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                let piece = buffer.get(..read).unwrap_or_default();
                output.feed(piece);
                to.write_all(piece)?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn command(call: &CargoCommand) -> std::process::Command {
    let mut command = cargo::command();
    command.args(&call.args).envs(call.env.iter().copied()).stdin(Stdio::null());
    // A shell may set this for its own AWS, and then the suites would use that instead of the
    // emulator.
    command.env_remove("AWS_ENDPOINT_URL");
    // Our pipe on stdout would make cargo print the test results without colours.
    if io::stdout().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

fn judge(call: &CargoCommand, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("`{}` failed with {status}", line(call))) }
}

fn not_started(call: &CargoCommand, error: &io::Error) -> String {
    format!("`{}` could not be started: {error}", line(call))
}

/// Returns the command as one would type it.
fn line(call: &CargoCommand) -> String {
    let env = call.env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect::<String>();
    format!("{env}cargo {}", call.args.join(" "))
}

/// The times and results of the steps so far.
#[derive(Debug, Default)]
struct Summary {
    times: Vec<(&'static str, Duration, bool)>,
    results: TestResults,
}

impl Summary {
    fn table(&self, steps: &[Step]) -> String {
        let total: Duration = self.times.iter().map(|(_, took, _)| *took).sum();
        let mut rows: Vec<String> = steps
            .iter()
            .map(|step| match self.times.iter().find(|(name, ..)| *name == step.name) {
                Some((name, took, true)) => format!("{name:<10}{:>9.1} s", took.as_secs_f64()),
                Some((name, took, false)) => {
                    format!("{name:<10}{:>9.1} s  FAILED", took.as_secs_f64())
                }
                None => format!("{:<10}{:>11}", step.name, "not run"),
            })
            .collect();
        rows.push(format!("{:<10}{:>9.1} s\n", "total", total.as_secs_f64()));
        rows.join("\n")
    }
}

#[expect(clippy::disallowed_methods, reason = "the table shows how long each step took")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    #[test]
    fn the_table_shows_what_passed_what_failed_and_what_never_ran() {
        let steps = plan::test(&["fmt".into(), "clippy".into(), "doc".into()]).unwrap();
        let summary = Summary {
            times: vec![
                ("fmt", Duration::from_millis(640), true),
                ("clippy", Duration::from_millis(12_340), false),
            ],
            results: TestResults::default(),
        };
        assert_eq!(
            summary.table(&steps),
            "fmt             0.6 s\n\
             clippy         12.3 s  FAILED\n\
             doc           not run\n\
             total          13.0 s\n"
        );
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let steps = plan::test(&["doc".into()]).unwrap();
        let Action::Cargo(call) = &steps[0].action else { panic!("not a cargo command") };
        assert_eq!(
            line(call),
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --lib --bins \
             --examples"
        );
    }

    #[test]
    fn a_failing_command_is_an_error_with_its_status() {
        let call = CargoCommand { args: vec!["no-such-command".into()], ..CargoCommand::default() };
        let status = command(&call).stderr(Stdio::null()).status().unwrap();
        let error = judge(&call, status).unwrap_err();
        assert!(error.contains("`cargo no-such-command` failed with"), "{error}");
        assert!(error.contains("101"), "{error}");
    }

    #[test]
    fn no_step_inherits_the_shells_aws_endpoint() {
        for step in plan::test(&[]).unwrap() {
            if let Action::Cargo(call) | Action::CargoTests(call) = &step.action {
                let command = command(call);
                let mut removed = command.get_envs().filter(|(_, value)| value.is_none());
                assert!(removed.any(|(name, _)| name == "AWS_ENDPOINT_URL"), "{}", step.name);
            }
        }
    }

    #[test]
    fn a_test_step_that_runs_no_test_fails() {
        let call = CargoCommand { args: vec!["--version".into()], ..CargoCommand::default() };
        let error = carry_out(&Action::CargoTests(call), &mut TestResults::default()).unwrap_err();
        assert!(error.contains("ran no test"), "{error}");
    }
}
