//! Carrying out a plan: headings, the output as it comes, times and counts at the end.

use std::io::{self, IsTerminal, Read, Write};
use std::process::{ChildStdout, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cargo;
use crate::counts::{Counter, Counts};
use crate::emulator;
use crate::forbidden;
use crate::plan::{Action, CargoCall, Step};
use crate::tools::Tool;

/// Runs the steps until one fails, then prints the table of times and, last of all, the counts.
pub(crate) fn test(steps: &[Step]) -> ExitCode {
    let mut report = Report::default();
    let outcome = steps.iter().enumerate().try_for_each(|(index, step)| {
        println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.shows);
        let started = now();
        let outcome = act(&step.action, &mut report.counts);
        report.times.push((step.name, started.elapsed(), outcome.is_ok()));
        outcome.map_err(|error| format!("step `{}` failed: {error}", step.name))
    });
    // The reason stands above the table: the output closes with the counts, whatever happened.
    if let Err(error) = &outcome {
        println!("\n{error}");
    }
    println!("\n{}{}", report.table(steps), report.counts);
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one step without table or counts.
pub(crate) fn plain(step: &Step) -> Result<(), String> {
    act(&step.action, &mut Counts::default())
}

fn act(action: &Action, counts: &mut Counts) -> Result<(), String> {
    match action {
        Action::Forbid { package } => forbidden::check(package),
        Action::Cargo(call) => {
            prepare(call)?;
            let status = command(call).status().map_err(|error| not_started(call, &error))?;
            judge(call, status)
        }
        Action::CargoEach(calls) => {
            calls.iter().try_for_each(|call| act(&Action::Cargo(call.clone()), counts))
        }
        Action::EmulatorTests => {
            *counts += emulator::test()?;
            Ok(())
        }
        Action::CargoTests(call) => {
            prepare(call)?;
            let (status, counted) = counting(call)?;
            *counts += counted;
            judge(call, status)?;
            // An empty run proves nothing, and both steps of ours have tests.
            if counted.is_empty() {
                return Err(format!("`{}` ran no test", line(call)));
            }
            Ok(())
        }
    }
}

fn prepare(call: &CargoCall) -> Result<(), String> {
    call.needs.map_or(Ok(()), Tool::ensure)?;
    println!("$ {}", line(call));
    Ok(())
}

/// Runs cargo with its output passed through and counted on the way.
fn counting(call: &CargoCall) -> Result<(ExitStatus, Counts), String> {
    let mut command = command(call);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(call, &error))?;
    let mut counter = Counter::default();
    // A broken pipe of ours must not leave the child unwaited: the error is looked at afterwards.
    let passed_on = match child.stdout.take() {
        Some(stdout) => pass_on(stdout, &mut counter),
        None => Ok(()),
    };
    let status = child.wait().map_err(|error| format!("`{}`: {error}", line(call)))?;
    passed_on.map_err(|error| format!("the output could not be passed on: {error}"))?;
    Ok((status, counter.finish()))
}

fn pass_on(mut from: ChildStdout, counter: &mut Counter) -> io::Result<()> {
    let mut to = io::stdout().lock();
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                let piece = buffer.get(..read).unwrap_or_default();
                counter.feed(piece);
                to.write_all(piece)?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn command(call: &CargoCall) -> std::process::Command {
    let mut command = cargo::command();
    command.args(&call.args).envs(call.env.iter().copied()).stdin(Stdio::null());
    // What a shell calls AWS is somebody's own; the suites would take it for theirs.
    command.env_remove("AWS_ENDPOINT_URL");
    // Cargo's own progress goes to stderr untouched; through our pipe it would lose its colours.
    if io::stdout().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

fn judge(call: &CargoCall, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", line(call))) }
}

fn not_started(call: &CargoCall, error: &io::Error) -> String {
    format!("`{}` could not be started: {error}", line(call))
}

/// The call as one would type it.
fn line(call: &CargoCall) -> String {
    let env = call.env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect::<String>();
    format!("{env}cargo {}", call.args.join(" "))
}

/// What the steps so far took and counted.
#[derive(Debug, Default)]
struct Report {
    times: Vec<(&'static str, Duration, bool)>,
    counts: Counts,
}

impl Report {
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
        rows.push(format!("{:<10}{:>9.1} s\n", "all", total.as_secs_f64()));
        rows.join("\n")
    }
}

#[expect(clippy::disallowed_methods, reason = "the time a step takes is what it shows")]
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
        let report = Report {
            times: vec![
                ("fmt", Duration::from_millis(640), true),
                ("clippy", Duration::from_millis(12_340), false),
            ],
            counts: Counts::default(),
        };
        assert_eq!(
            report.table(&steps),
            "fmt             0.6 s\n\
             clippy         12.3 s  FAILED\n\
             doc           not run\n\
             all            13.0 s\n"
        );
    }

    #[test]
    fn a_call_is_shown_as_one_would_type_it() {
        let steps = plan::test(&["doc".into()]).unwrap();
        let Action::Cargo(call) = &steps[0].action else { panic!("a cargo call") };
        assert_eq!(
            line(call),
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked"
        );
    }

    #[test]
    fn a_call_that_fails_is_an_error_with_its_status() {
        let call = CargoCall { args: vec!["no-such-command".into()], ..CargoCall::default() };
        let status = command(&call).stderr(Stdio::null()).status().unwrap();
        let error = judge(&call, status).unwrap_err();
        assert!(error.contains("`cargo no-such-command` ended with"), "{error}");
        assert!(error.contains("101"), "{error}");
    }

    #[test]
    fn no_step_sees_what_a_shell_calls_aws() {
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
        let call = CargoCall { args: vec!["--version".into()], ..CargoCall::default() };
        let error = act(&Action::CargoTests(call), &mut Counts::default()).unwrap_err();
        assert!(error.contains("ran no test"), "{error}");
    }
}
