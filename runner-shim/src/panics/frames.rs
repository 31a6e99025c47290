//! The part of a backtrace that a reader wants to see: the call's own frames.
//!
//! Above those frames is the panic machinery, below them the runner and the runtime. If a frame
//! that separates them is missing (stripped symbols), that side of the trace is kept.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::hint::black_box;

/// The last frame of the panic hook. std puts it there for the same purpose.
const HOOK_ENDS: &str = "__rust_end_short_backtrace";
/// Frames between it and the line that panicked.
const MACHINERY: [&str; 6] = [
    "rust_begin_unwind",
    "core::panicking::",
    "std::panicking::begin_panic",
    "std::panic::panic_any",
    "::unwrap_failed",
    "::expect_failed",
];
/// The name of [`flame_begin_short_backtrace`].
const CALL_BEGINS: &str = "flame_begin_short_backtrace";

/// Runs a call below a frame by whose name a trace can be cut. Neither inlining nor a tail call may
/// remove the frame.
#[inline(never)]
pub(super) fn flame_begin_short_backtrace<T>(call: impl FnOnce() -> T) -> T {
    let output = call();
    black_box(());
    output
}

/// The call's frames as text; `None` if the platform captures none.
pub(super) fn of_the_call(backtrace: &Backtrace) -> Option<String> {
    (backtrace.status() == BacktraceStatus::Captured).then(|| trim(&backtrace.to_string()))
}

/// Reduces a rendered trace to the call's frames. Each frame begins with a line such as `  12:
/// name`; a line such as `     at file:line` may follow.
pub(super) fn trim(trace: &str) -> String {
    let mut frames: Vec<String> = Vec::new();
    for line in trace.lines() {
        match frames.last_mut() {
            Some(frame) if !begins_frame(line) => {
                frame.push('\n');
                frame.push_str(line);
            }
            _ => frames.push(line.to_owned()),
        }
    }
    let hook = frames.iter().position(|frame| frame.contains(HOOK_ENDS)).map_or(0, |at| at + 1);
    let machinery = frames
        .iter()
        .skip(hook)
        .take_while(|frame| hook > 0 && MACHINERY.iter().any(|name| frame.contains(name)))
        .count();
    frames
        .iter()
        .skip(hook + machinery)
        .take_while(|frame| !frame.contains(CALL_BEGINS))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

fn begins_frame(line: &str) -> bool {
    let digits = line.trim_start();
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < digits.len() && rest.starts_with(": ")
}
