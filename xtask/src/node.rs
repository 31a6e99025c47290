//! Runs tests of the CDK constructs in `cdk/`, which are written in TypeScript.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::counts::Counts;
use crate::test_output::without_colours;
use crate::tools::Tool;

/// Runs a script of `cdk/package.json` that runs tests with vitest, and passes its output on.
pub(crate) fn test(script: &str) -> Result<Counts, String> {
    Tool::Node.ensure()?;
    let folder = cargo::root().join("cdk");
    install(&folder)?;
    println!("$ cd cdk && npm run {script}");
    let mut child = npm(&folder)
        .args(["run", script])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(&error))?;
    let mut counted = Counts::default();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line
            .map_err(|error| format!("the output of `npm run {script}` can't be read: {error}"))?;
        println!("{line}");
        counted = tests_in(&without_colours(&line)).unwrap_or(counted);
    }
    let status = child.wait().map_err(|error| format!("`npm run {script}`: {error}"))?;
    if !status.success() {
        return Err(format!("`npm run {script}` failed with {status}"));
    }
    if counted.is_empty() {
        return Err(format!("`npm run {script}` ran no test"));
    }
    Ok(counted)
}

/// Installs the packages of `package-lock.json`, unless they are there.
fn install(folder: &Path) -> Result<(), String> {
    let read = |path: &str| std::fs::read(folder.join(path)).ok();
    // A copy of the list of the packages that are installed.
    let installed = "node_modules/.installed";
    let wanted = read("package-lock.json")
        .ok_or_else(|| format!("{} can't be read", folder.join("package-lock.json").display()))?;
    if read(installed).as_ref() == Some(&wanted) {
        return Ok(());
    }
    println!("$ cd cdk && npm ci");
    let status = npm(folder)
        .args(["ci", "--no-audit", "--no-fund"])
        .status()
        .map_err(|error| not_started(&error))?;
    if !status.success() {
        return Err(format!("`npm ci` failed with {status}; it needs the network"));
    }
    std::fs::write(folder.join(installed), wanted)
        .map_err(|error| format!("{installed} can't be written: {error}"))
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    // As for cargo: the tests must not use the AWS of the shell.
    npm.current_dir(folder).stdin(Stdio::null()).env_remove("AWS_ENDPOINT_URL");
    npm
}

fn not_started(error: &std::io::Error) -> String {
    format!("`npm` can't be started: {error}")
}

/// Reads the summary line of vitest, such as `Tests  1 failed | 95 passed | 2 skipped (98)`.
fn tests_in(line: &str) -> Option<Counts> {
    let (fields, _) = line.trim().strip_prefix("Tests ")?.rsplit_once('(')?;
    let field = |label: &str| {
        let mut numbers = fields.split('|').filter_map(|field| field.trim().strip_suffix(label));
        numbers.next().and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    let counts =
        Counts { passed: field("passed"), failed: field("failed"), ignored: field("skipped") };
    (counts != Counts::default()).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_line_of_vitest_gives_the_counts() {
        let counts = |passed, failed, ignored| Some(Counts { passed, failed, ignored });
        assert_eq!(tests_in("      Tests  96 passed (96)"), counts(96, 0, 0));
        assert_eq!(tests_in("      Tests  1 failed | 7 passed (8)"), counts(7, 1, 0));
        assert_eq!(tests_in("      Tests  7 passed | 2 skipped (9)"), counts(7, 0, 2));
    }

    #[test]
    fn other_lines_of_vitest_are_not_counted() {
        for line in
            [" Test Files  4 passed (4)", "Tests  no tests", "Tests  (0)", "   Duration  2.15s", ""]
        {
            assert_eq!(tests_in(line), None, "{line}");
        }
    }
}
