//! The functions that callers call. Each records its execution before it does anything else.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use flame_aws::{Blob, Receiver, remote};
use futures_util::{Stream, stream};

/// The variable with the path of the file of executions.
pub(crate) const FILE_ENV: &str = "STORM_EXECUTIONS";

/// Appends a line with the call's number and this process's id. The kernel appends each line as a
/// whole and keeps it, whatever happens to the process afterwards.
fn record(call: u64) {
    static FILE: LazyLock<File> = LazyLock::new(|| {
        let path = std::env::var_os(FILE_ENV).expect("the storm sets the variable");
        File::options().append(true).create(true).open(path).expect("the directory exists")
    });
    let line = format!("{call} {}\n", std::process::id());
    let written = (&*FILE).write(line.as_bytes()).expect("the disk has room for a line");
    assert_eq!(written, line.len(), "the line was not written as a whole");
}

/// Reads the file: the call and the process of each execution.
pub(crate) fn executions(file: &Path) -> Vec<(u64, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let (call, process) = line.split_once(' ')?;
        Some((call.parse().ok()?, process.parse().ok()?))
    };
    text.lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("not a line of executions: {text:?}")))
        .collect()
}

/// Returns the expected result of a call.
pub(crate) fn answer(call: u64) -> u64 {
    call.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// Sleeps, and returns the answer and this process's id.
#[remote]
pub(crate) async fn naps(call: u64, time: Duration) -> (u64, u32) {
    record(call);
    tokio::time::sleep(time).await;
    (answer(call), std::process::id())
}

/// Computes in a plain function, and returns the answer.
#[remote]
pub(crate) fn works(call: u64, turns: u64) -> u64 {
    record(call);
    // An even number of negations leaves the answer unchanged.
    (0..2 * turns).fold(answer(call), |value, _| std::hint::black_box(!value))
}

/// Returns the answer and the bytes.
#[remote]
pub(crate) async fn echoes(call: u64, bytes: Blob) -> (u64, Blob) {
    record(call);
    (answer(call), bytes)
}

/// Streams numbers that start with the answer.
#[remote]
pub(crate) fn counts(call: u64, items: u64) -> impl Stream<Item = u64> {
    record(call);
    stream::iter((0..items).map(move |item| answer(call).wrapping_add(item)))
}

/// Adds the numbers of a channel to the answer.
#[remote]
pub(crate) async fn adds(call: u64, mut numbers: Receiver<u64>) -> anyhow::Result<u64> {
    record(call);
    let mut sum = answer(call);
    while let Some(number) = numbers.recv().await? {
        sum = sum.wrapping_add(number);
    }
    Ok(sum)
}

/// Panics.
#[remote]
pub(crate) async fn panics(call: u64) {
    record(call);
    panic!("call {call}")
}
