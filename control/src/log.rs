//! What runners log and print, in the parent's log.
//!
//! Lines go to `tracing` (target `flame::runner`) with the runner and, where it is known, the
//! call. An app without a `tracing` subscriber sees them on its standard error.
//!
//! Either may block for as long as nobody reads it. So the thread of [`lines`] writes them, and
//! whoever brings a line goes on at once. Nothing here is asynchronous, and nothing waits.

use std::cell::RefCell;
use std::collections::HashMap;

use flame_runner_shim::log_writer;
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::{Level, LogRecord};

use self::printed::Before;
use crate::backend::{OutputLine, OutputStream};

mod printed;

const TARGET: &str = "flame::runner";

/// An event of this level, on the thread of the log.
macro_rules! event {
    ($level:expr, $($what:tt)*) => {
        match $level {
            Level::Error => tracing::error!(target: TARGET, $($what)*),
            Level::Warn => tracing::warn!(target: TARGET, $($what)*),
            Level::Info => tracing::info!(target: TARGET, $($what)*),
            Level::Debug => tracing::debug!(target: TARGET, $($what)*),
            Level::Trace => tracing::trace!(target: TARGET, $($what)*),
        }
    };
}

/// An event of a runner's own log.
pub(crate) fn forward(runner: RunnerRef, record: LogRecord) {
    let len = record.text.len() + record.target.len();
    log_writer::global().push(len, move |stderr| {
        let LogRecord { call, level, target, text, .. } = record;
        let call = call.map(CallId);
        if !log_writer::has_subscriber() {
            return print(stderr, runner, call, &format!("{level:?} {target}: {text}"));
        }
        let call = call.map(tracing::field::display);
        event!(level, %runner, call, from = target, "{text}");
    });
}

/// A line that a runner printed. `call` is known where it served just one.
pub(crate) fn printed(line: OutputLine, call: Option<CallId>) {
    log_writer::global().push(line.line.len(), move |stderr| {
        let OutputLine { runner, stream, line } = line;
        let line = printed::plain(&line);
        if !log_writer::has_subscriber() {
            return print(stderr, runner, call, &line);
        }
        let printed = read(runner, stream, &line);
        let call = call.map(tracing::field::display);
        let stream = match stream {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
        };
        event!(printed.level, %runner, call, stream, "{}", printed.text);
    });
}

/// Reads a line, with what the ones before on its stream have said.
fn read(runner: RunnerRef, stream: OutputStream, line: &str) -> printed::Printed<'_> {
    /// Streams that ended amid an event; more are forgotten.
    const MOST: usize = 1000;
    thread_local! {
        static BEFORE: RefCell<HashMap<(RunnerRef, bool), Before>> = RefCell::default();
    }
    let key = (runner, stream == OutputStream::Stderr);
    BEFORE.with_borrow_mut(|all| {
        let before = all.remove(&key).unwrap_or_default();
        let (printed, after) = printed::read(line, before);
        if all.len() >= MOST {
            all.clear();
        }
        if after != Before::Nothing {
            all.insert(key, after);
        }
        printed
    })
}

fn print(stderr: &mut Vec<u8>, runner: RunnerRef, call: Option<CallId>, text: &str) {
    let line = match call {
        Some(call) => format!("[{runner} {call}] {text}\n"),
        None => format!("[{runner}] {text}\n"),
    };
    stderr.extend_from_slice(line.as_bytes());
}
