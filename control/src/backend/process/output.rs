//! What a child prints: passed on line by line, and the last lines kept for its obituary.
//!
//! A child that prints faster than the log takes is slowed down, as any process is by a full pipe:
//! its output is not read for a while. That lasts a second at most, so that a log that is stuck
//! stops no child; then lines are dropped, and counted. Nothing but the reading of this one stream
//! waits, and nothing waits any more once the child is dead: its last lines are wanted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use flame_wire::ids::RunnerRef;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::backend::{OutputLine, OutputStream};

/// The lines kept.
const TAIL: usize = 20;
/// A longer line is cut into lines of this length, in bytes: a child can't fill our memory.
const LONGEST_LINE: usize = 8 * 1024;

type LineSink = Arc<dyn Fn(OutputLine) + Send + Sync>;

#[derive(Clone)]
pub(super) struct ChildOutput {
    runner: RunnerRef,
    sink: Option<LineSink>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl ChildOutput {
    pub(super) fn new(runner: RunnerRef, sink: Option<LineSink>) -> Self {
        Self { runner, sink, tail: Arc::default() }
    }

    /// Reads until the other end is closed by all who have it. `dead` becomes true, or is dropped,
    /// when the child is dead.
    pub(super) async fn read(
        self,
        stream: OutputStream,
        mut from: impl AsyncRead + Unpin,
        mut dead: watch::Receiver<bool>,
    ) {
        let mut lines = LineSplitter::default();
        let mut chunk = vec![0; LONGEST_LINE];
        while let Ok(len @ 1..) = from.read(&mut chunk).await {
            lines.push(chunk.get(..len).unwrap_or_default(), |line| self.line(stream, line));
            if self.sink.is_some() {
                tokio::select! {
                    () = flame_runner_shim::log_writer::global().room() => {}
                    _ = dead.wait_for(|dead| *dead) => {}
                }
            }
        }
        lines.finish(|line| self.line(stream, line));
    }

    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn line(&self, stream: OutputStream, line: String) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.clone());
        drop(tail);
        if let Some(sink) = &self.sink {
            sink(OutputLine { runner: self.runner, stream, line });
        }
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.partial.extend_from_slice(line);
            bytes = rest.get(1..).unwrap_or_default();
            self.take(&mut each);
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() >= LONGEST_LINE {
            self.take(&mut each);
        }
    }

    fn finish(mut self, mut each: impl FnMut(String)) {
        if !self.partial.is_empty() {
            self.take(&mut each);
        }
    }

    fn take(&mut self, each: &mut impl FnMut(String)) {
        let line = String::from_utf8_lossy(&self.partial);
        each(line.trim_end_matches('\r').to_owned());
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (LineSplitter::default(), Vec::new());
        chunks.iter().for_each(|chunk| lines.push(chunk, |line| out.push(line)));
        lines.finish(|line| out.push(line));
        out
    }

    #[test]
    fn lines_are_found_across_chunks() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n\nthree"]), ["one", "two", "", "three"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let chunk = [b'x'; LONGEST_LINE];
        let out = lines(&[&chunk, &chunk, b"y"]);
        assert_eq!(
            out.iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST_LINE, LONGEST_LINE, 1]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
    }
}
