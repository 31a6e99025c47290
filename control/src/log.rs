//! What runners log and print, in the parent's log.
//!
//! Lines go to `tracing` (target `flame::runner`) with the runner and, where it is known, the
//! call. An app without a `tracing` subscriber sees them on its standard error.

use std::io::Write;

use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::{Level, LogRecord};

use crate::backend::{OutputLine, OutputStream};

const TARGET: &str = "flame::runner";

/// An event of a runner's own log.
pub(crate) fn forward(runner: RunnerRef, record: &LogRecord) {
    let LogRecord { call, level, target, text, .. } = record;
    let call = call.map(CallId);
    if !tracing::dispatcher::has_been_set() {
        return print(runner, call, &format!("{level:?} {target}: {text}"));
    }
    let call = call.map(tracing::field::display);
    match level {
        Level::Error => tracing::error!(target: TARGET, %runner, call, from = target, "{text}"),
        Level::Warn => tracing::warn!(target: TARGET, %runner, call, from = target, "{text}"),
        Level::Info => tracing::info!(target: TARGET, %runner, call, from = target, "{text}"),
        Level::Debug => tracing::debug!(target: TARGET, %runner, call, from = target, "{text}"),
        Level::Trace => tracing::trace!(target: TARGET, %runner, call, from = target, "{text}"),
    }
}

/// A line that a runner printed. `call` is known where it served just one.
pub(crate) fn printed(line: &OutputLine, call: Option<CallId>) {
    let OutputLine { runner, stream, line } = line;
    if !tracing::dispatcher::has_been_set() {
        return print(*runner, call, line);
    }
    let call = call.map(tracing::field::display);
    let stream = match stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    };
    tracing::info!(target: TARGET, %runner, call, stream, "{line}");
}

fn print(runner: RunnerRef, call: Option<CallId>, text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Where nobody reads it, there is no other log to put it in.
    let _ = match call {
        Some(call) => writeln!(stderr, "[{runner} {call}] {text}"),
        None => writeln!(stderr, "[{runner}] {text}"),
    };
}
