//! Remote functions that print and log.

use std::path::Path;
use std::time::Duration;

use flame_aws::remote;
use futures_util::{Stream, stream};

/// Prints a line on each stream, and returns once `file` is gone. So a test can wait for the lines
/// while the call is under way.
#[remote]
pub async fn prints_and_waits(line: &str, file: &Path) {
    println!("{line}");
    eprintln!("{line} on stderr");
    while file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A line of [`prints_lines`] and [`logs_lines`]: 500 bytes.
#[must_use]
pub fn long_line(number: usize) -> String {
    format!("line {number:06} {}", "z".repeat(488))
}

/// Prints that many lines, on standard output and standard error in turn.
#[remote]
pub fn prints_lines(lines: usize) {
    for number in 0..lines {
        if number % 2 == 0 {
            println!("{}", long_line(number));
        } else {
            eprintln!("{}", long_line(number));
        }
    }
}

/// Logs and prints a thousand bytes 10,000 times a second, half of the lines each, for as many
/// milliseconds.
#[remote]
pub async fn storms(milliseconds: u64) {
    let line = "z".repeat(1000);
    for _ in 0..milliseconds / 5 {
        for _ in 0..25 {
            tracing::info!("{line}");
            println!("{line}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Logs that many lines, slowly enough that the link keeps up.
#[remote]
pub async fn logs_lines(lines: usize) {
    for number in 0..lines {
        tracing::info!("{}", long_line(number));
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}

/// Logs an error and a warning, and starts a thread that panics.
#[remote]
pub async fn logs_errors_and_panics() {
    tracing::error!(disk = 7, "the disk is full");
    tracing::warn!("the disk was nearly full");
    let _ = std::thread::spawn(|| panic!("a thread of the function panics")).join();
}

/// Prints a line on standard error, and aborts its process.
#[remote]
pub async fn prints_and_aborts(line: &str) {
    eprintln!("{line}");
    std::process::abort()
}

/// Logs `text` at INFO, and another line at DEBUG.
#[remote]
pub async fn logs(text: &str) {
    tracing::info!(answer = 42, "{text}");
    tracing::debug!("too fine to be sent");
}

/// Logs each item before it yields it.
#[remote]
pub fn logs_items(items: Vec<String>) -> impl Stream<Item = String> {
    stream::iter(items.into_iter().inspect(|item| tracing::info!("{item}")))
}
