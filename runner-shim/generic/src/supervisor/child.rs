//! The supervisor's child: this executable, started once more, and whatever program it becomes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use flame_runner_shim::host::{RUNNER_ENV, RUNNER_ON_LAMBDA, SUPERVISED_ENV};
use flame_runner_shim::log_writer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// The variable with the address of the Runtime API.
pub(crate) const RUNTIME_API_ENV: &str = "AWS_LAMBDA_RUNTIME_API";
/// The number of lines that an error shows of a child that has ended.
const MAX_LAST_LINES: usize = 10;
/// The longest of these lines, in bytes.
const MAX_LINE: usize = 500;
/// How long the output of a child that has ended may stay open. A process that the child has
/// started may hold it.
const OUTPUT_END_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(500);

/// A running child.
pub(crate) struct SupervisedChild {
    child: Child,
    /// Requests that the output so far is read.
    read: mpsc::UnboundedSender<oneshot::Sender<VecDeque<String>>>,
}

impl SupervisedChild {
    /// Starts this executable, with the Runtime API at this address.
    pub(crate) fn start(runtime_api: SocketAddr) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env(RUNTIME_API_ENV, runtime_api.to_string())
            .env(RUNNER_ENV, RUNNER_ON_LAMBDA)
            .env(SUPERVISED_ENV, "1")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (read, requests) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(BufReader::new(stderr), requests));
        Ok(Self { child, read })
    }

    /// Waits for the child's end. Says how it ended, with the last lines that it has printed.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn ended(&mut self) -> String {
        let how = match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("its end can't be observed: {error}"),
        };
        let last_lines = tokio::time::timeout(OUTPUT_END_TIMEOUT, self.read_output());
        let last_lines = last_lines.await.unwrap_or_default();
        if last_lines.is_empty() {
            return how;
        }
        let last_lines: Vec<_> = last_lines.into();
        format!("{how}; its last lines: {}", last_lines.join(" | "))
    }

    /// Passes on what the child has printed so far. Returns the last lines.
    pub(crate) async fn read_output(&self) -> VecDeque<String> {
        let (to, lines) = oneshot::channel();
        let _ = self.read.send(to);
        let lines = lines.await.unwrap_or_default();
        log_writer::global().flush().await;
        lines
    }

    /// Sends a signal to the child.
    pub(crate) fn signal(&self, signal: i32) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// In the words of Lambda, which the backend reads.
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Writes the child's lines to this process's standard error, and remembers the last ones. Ends
/// when `requests` is closed.
async fn pass_on(
    mut from: impl AsyncBufRead + Unpin,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<VecDeque<String>>>,
) {
    let (mut last, mut line, mut open) = (VecDeque::new(), Vec::new(), true);
    loop {
        // Reading comes first: a request is answered when everything printed before it is read.
        tokio::select! {
            biased;
            read = from.read_until(b'\n', &mut line), if open => match read {
                Ok(len) if len > 0 => {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    remember(&mut last, &text);
                    log_writer::print_line(text);
                    log_writer::global().room().await;
                }
                _ => open = false,
            },
            request = requests.recv() => match request {
                Some(to) => drop(to.send(last.clone())),
                None => return,
            },
        }
    }
}

fn remember(last: &mut VecDeque<String>, line: &str) {
    if line.is_empty() {
        return;
    }
    if last.len() == MAX_LAST_LINES {
        last.pop_front();
    }
    let end = (0..=MAX_LINE.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    last.push_back(line[..end.unwrap_or(0)].to_owned());
}
