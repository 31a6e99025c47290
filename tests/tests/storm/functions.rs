//! The functions that callers call. Each writes down that it runs, before anything else.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use flame_aws::{Blob, Receiver, remote};
use futures_util::{Stream, stream};

/// The variable that names the file.
pub(crate) const FILE_ENV: &str = "STORM_EXECUTIONS";

/// A line for each execution: the call's number, and the process. The kernel appends each line whole
/// and keeps it, whatever becomes of the process.
fn record(call: u64) {
    static FILE: LazyLock<File> = LazyLock::new(|| {
        let path = std::env::var_os(FILE_ENV).expect("the storm names the file");
        File::options().append(true).create(true).open(path).expect("the folder is there")
    });
    let line = format!("{call} {}\n", std::process::id());
    let written = (&*FILE).write(line.as_bytes()).expect("there is room for a line");
    assert_eq!(written, line.len(), "a line is written at once");
}

/// The executions in the file: call and process.
pub(crate) fn executions(file: &Path) -> Vec<(u64, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let (call, process) = line.split_once(' ')?;
        Some((call.parse().ok()?, process.parse().ok()?))
    };
    text.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text:?} is a line"))).collect()
}

/// What a call with this number gives.
pub(crate) fn answer(call: u64) -> u64 {
    call.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// Waits; the answer, and the process.
#[remote]
pub(crate) async fn naps(call: u64, time: Duration) -> (u64, u32) {
    record(call);
    tokio::time::sleep(time).await;
    (answer(call), std::process::id())
}

/// Works on a blocking thread.
#[remote]
pub(crate) fn works(call: u64, turns: u64) -> u64 {
    record(call);
    // What is left after an even number of turns is what was there.
    (0..2 * turns).fold(answer(call), |value, _| std::hint::black_box(!value))
}

/// Gives large bytes back.
#[remote]
pub(crate) async fn echoes(call: u64, bytes: Blob) -> (u64, Blob) {
    record(call);
    (answer(call), bytes)
}

/// Numbers, from the answer on.
#[remote]
pub(crate) fn counts(call: u64, items: u64) -> impl Stream<Item = u64> {
    record(call);
    stream::iter((0..items).map(move |item| answer(call).wrapping_add(item)))
}

/// The sum of a channel's numbers, and the answer.
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
