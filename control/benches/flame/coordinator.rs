//! The coordinator: starts one measuring process after another, and collects the figures.

use std::process::{ExitCode, Stdio};

use crate::command::BenchRequest;
use crate::figures::Figures;
use crate::measurement::Measurement;
use crate::report::{Machine, Report};
use crate::throughput;

/// Measures the requested groups. Fails if a group could not be measured. A missed target is a
/// result, not a failure.
pub(crate) fn run(request: &BenchRequest) -> ExitCode {
    let mut figures = Figures::default();
    let mut failed = Vec::new();
    let before = Machine::now();
    for group in &request.groups {
        eprintln!("measuring {} (load average {})", group.name(), Machine::now().load);
        for condition in group.conditions() {
            let measurement = Measurement { group: *group, condition, effort: request.effort };
            match measure(&measurement) {
                Ok(measured) => figures.extend(measured),
                Err(why) => failed.push(format!("{}: {why}", group.name())),
            }
        }
    }
    throughput::headlines(&mut figures);
    let report = Report { figures, effort: request.effort, before, after: Machine::now() };
    println!("{report}");
    if let Err(error) = report.save() {
        failed.push(format!("the report could not be written: {error}"));
    }
    for why in &failed {
        eprintln!("FAILED {why}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(measurement: &Measurement) -> Result<Figures, String> {
    let mut command = measurement.command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let output = child
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| format!("the measuring process could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the measuring process failed with {}", output.status));
    }
    Ok(Figures::read(&String::from_utf8_lossy(&output.stdout)))
}
