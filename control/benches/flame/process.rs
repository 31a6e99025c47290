//! This process, and copies of it in other roles.

use std::ffi::OsStr;
use std::io::BufRead;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

/// The first argument of the benchmark's own processes. No group has this name.
pub(crate) const AS: &str = "as";

/// Returns a command that starts this executable in another role.
pub(crate) fn copy(role: &[impl AsRef<OsStr>]) -> Command {
    let executable = std::env::current_exe().expect("the path of this executable");
    let mut command = Command::new(executable);
    command.arg(AS).args(role).stdin(Stdio::null());
    command
}

/// A copy of this process in another role, which prints lines and perhaps reads some. It is killed
/// when it is dropped.
pub(crate) struct ChildProcess {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl ChildProcess {
    pub(crate) fn start(role: &[impl AsRef<OsStr>]) -> Self {
        let mut command = tokio::process::Command::from(copy(role));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a copy of this process");
        let input = child.stdin.take().expect("the child's standard input");
        let output = child.stdout.take().expect("the child's standard output");
        Self { child, input, output: BufReader::new(output).lines() }
    }

    /// The next line that the process prints.
    pub(crate) async fn line(&mut self) -> String {
        let line = self.output.next_line().await.expect("the child's standard output");
        line.expect("the child prints a line before it exits")
    }

    /// Sends the process a line, and waits for its reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.expect("the child reads its standard input");
        self.line().await
    }

    /// The process id, unless the process has exited.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

/// The lines that the process that started this one sends. They end when that process is gone.
pub(crate) fn input_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Makes this process exit when the process that started it is gone.
pub(crate) fn exit_when_abandoned() {
    let mut lines = input_lines();
    std::thread::spawn(move || {
        while lines.blocking_recv().is_some() {}
        std::process::exit(0);
    });
}

/// Returns the processor time that all threads of this process have used so far.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
