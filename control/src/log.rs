//! Writes what runners log and print to the parent's log.
//!
//! Each line becomes a `tracing` event (target `flame::runner`) with the runner and, if it is
//! known, the call. If the app has no `tracing` subscriber, the lines go to its standard error.
//!
//! The subscriber and standard error may both block while nothing reads their output. So the thread
//! of [`log_writer`] does the writing, and the functions here return at once.

use std::cell::RefCell;
use std::collections::HashMap;

use flame_runner_shim::log_writer;
use flame_wire::ids::{CallId, RunnerRef};
use flame_wire::message::{Level, LogRecord};

use self::printed::Context;
use crate::backend::{OutputLine, OutputStream};

mod printed;

const TARGET: &str = "flame::runner";

/// Emits an event of a level that is known only at run time.
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

/// Forwards an event that a runner has sent over its link.
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

/// Forwards a line that a runner printed. `call` is known if the runner was serving exactly one
/// call.
pub(crate) fn printed(line: OutputLine, call: Option<CallId>) {
    log_writer::global().push(line.line.len(), move |stderr| {
        let OutputLine { runner, stream, line } = line;
        let line = printed::strip_escapes(&line);
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

/// Reads a line, in the context of the lines before it on the same stream.
fn read(runner: RunnerRef, stream: OutputStream, line: &str) -> printed::Printed<'_> {
    /// Streams that ended in the middle of an event. Beyond that number, all are forgotten.
    const MAX_STREAMS: usize = 1000;
    thread_local! {
        static CONTEXTS: RefCell<HashMap<(RunnerRef, bool), Context>> = RefCell::default();
    }
    let key = (runner, stream == OutputStream::Stderr);
    CONTEXTS.with_borrow_mut(|all| {
        let context = all.remove(&key).unwrap_or_default();
        let (printed, next) = printed::read(line, context);
        if all.len() >= MAX_STREAMS {
            all.clear();
        }
        if next != Context::None {
            all.insert(key, next);
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
