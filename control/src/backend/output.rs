//! The output of instances: each line goes to the log, and an instance's last lines become part of
//! its death.
//!
//! If an instance prints faster than the log can write, its output is not read for a while. A full
//! pipe then slows a child down, as it would slow down any process. This pause takes one second at
//! most, so a log that is stuck stops no child: after the pause, lines are dropped and counted.
//! Only the task that reads this one stream pauses. Once the instance is dead, the task no longer
//! pauses, because the last lines are needed.

use std::collections::VecDeque;
use std::sync::Arc;

use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use super::{OutputLine, OutputStream, PoolInfo};

/// The number of lines that are kept.
const TAIL: usize = 20;
/// Longer lines are split at this length, in bytes, so that an instance can't fill this
/// process's memory.
const LONGEST_LINE: usize = 8 * 1024;
/// How much is read at once. Each runner keeps a buffer of this size for each of its two streams,
/// however little it prints.
const CHUNK: usize = 4 * 1024;

type LogLine = Arc<dyn Fn(OutputLine) + Send + Sync>;

/// The output of one instance, on both of its streams.
#[derive(Clone)]
pub(super) struct RunnerOutput {
    runner: RunnerRef,
    log: Option<LogLine>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl RunnerOutput {
    /// The output of an instance that boots for this runner of the pool.
    pub(super) fn new(runner: RunnerRef, pool: &PoolInfo) -> Self {
        let log = pool.log.then(|| pool.output.clone());
        Self { runner, log, tail: Arc::default() }
    }

    /// A reader of one stream. `dead` becomes true, or its sender is dropped, when the instance is
    /// dead.
    pub(super) fn reader(&self, stream: OutputStream, dead: watch::Receiver<bool>) -> OutputReader {
        OutputReader { output: self.clone(), stream, dead, lines: LineSplitter::default() }
    }

    /// The last lines, oldest first.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().iter().cloned().collect()
    }

    fn line(&self, stream: OutputStream, line: String) {
        let mut tail = self.tail.lock();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.clone());
        drop(tail);
        if let Some(log) = &self.log {
            log(OutputLine { runner: self.runner, stream, line });
        }
    }
}

/// Reads one stream of an instance.
pub(super) struct OutputReader {
    output: RunnerOutput,
    stream: OutputStream,
    dead: watch::Receiver<bool>,
    lines: LineSplitter,
}

impl OutputReader {
    /// Reads until every process that holds the other end of the pipe has closed it.
    pub(super) async fn read(mut self, mut from: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(len @ 1..) = from.read(&mut chunk).await {
            self.push(chunk.get(..len).unwrap_or_default()).await;
        }
        self.finish();
    }

    /// Takes the next bytes of the stream. Waits while the log is full.
    pub(super) async fn push(&mut self, bytes: &[u8]) {
        let Self { output, stream, dead, lines } = self;
        lines.push(bytes, |line| output.line(*stream, line));
        if output.log.is_some() {
            tokio::select! {
                () = flame_runner_shim::log_writer::global().room() => {}
                _ = dead.wait_for(|dead| *dead) => {}
            }
        }
    }

    /// The stream is at its end: a last line may lack its line ending.
    pub(super) fn finish(self) {
        let Self { output, stream, lines, .. } = self;
        lines.finish(|line| output.line(stream, line));
    }
}

/// Splits bytes into lines.
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
    fn a_line_may_span_chunks() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n\nthree"]), ["one", "two", "", "three"]);
    }

    #[test]
    fn an_endless_line_is_split() {
        let chunk = [b'x'; LONGEST_LINE];
        let out = lines(&[&chunk, &chunk, b"y"]);
        assert_eq!(
            out.iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST_LINE, LONGEST_LINE, 1]
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
    }
}
