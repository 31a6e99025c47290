//! The `flame-relay` program as a child process, which can be killed, stopped and started again on
//! the same port.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use flame_aws::Relay;
use rustix::process::Signal;

use super::KEY;
use crate::{cargo_build, process, until};

/// How long the relay may take to answer a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start a relay.
#[derive(Clone, Debug)]
pub struct RelayCommand {
    listen: SocketAddr,
    flags: Vec<String>,
    log: PathBuf,
}

/// A running relay. It is killed when the value is dropped.
#[derive(Debug)]
pub struct RelayProgram {
    child: Child,
    listen: SocketAddr,
}

impl RelayCommand {
    /// A relay that listens at this address, with the key of the tests. It appends to its log.
    #[must_use]
    pub fn new(listen: SocketAddr, flags: &[&str], log: &Path) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Self { listen, flags, log: log.to_owned() }
    }

    /// Starts the relay, and waits until it listens. Returns `None` if it exits, for example because
    /// another process has taken its port.
    pub async fn start(&self, executable: &Path) -> Option<RelayProgram> {
        let log = File::options().append(true).create(true).open(&self.log);
        let child = Command::new(executable)
            .args(["--listen", &self.listen.to_string()])
            .args(&self.flags)
            .env("FLAME_RELAY_KEYS", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the log's folder exists"))
            .spawn();
        let child = child.expect("the relay starts");
        let mut relay = RelayProgram { child, listen: self.listen };
        while relay.get("/healthz").await.is_none() {
            if relay.exited().is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(relay)
    }
}

impl RelayProgram {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address on which the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The option for a pool.
    #[must_use]
    pub fn option(&self) -> Relay {
        Relay::new(super::url(self.listen)).key(KEY)
    }

    /// Kills the relay with SIGKILL. Returns its address.
    pub fn kill(mut self) -> SocketAddr {
        self.child.kill().expect("the relay runs");
        self.child.wait().expect("the relay is a child of this process");
        self.listen
    }

    /// Sends SIGSTOP, and waits until the process is stopped.
    pub async fn stop(&self) {
        self.signal(Signal::STOP);
        until("the relay is stopped", || process::is_stopped(self.pid())).await;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// How the relay has exited, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the relay is a child of this process")
    }

    /// Waits until the relay exits.
    pub async fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The sum of a metric's values over all its labels, or `None` if the relay does not answer.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.get("/metrics").await?;
        let is_meant =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values = answer.lines().filter(is_meant);
        Some(values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// How many descriptors are open in the relay's process.
    #[must_use]
    pub fn open_descriptors(&self) -> usize {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        folder.map(Iterator::count).unwrap_or_default()
    }

    /// The memory of the relay's process that is in RAM, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        process::resident_kib(self.pid())
    }

    /// Requests a path, and returns the whole answer.
    async fn get(&self, path: &str) -> Option<String> {
        let (listen, path) = (self.listen, path.to_owned());
        let request = move || {
            let mut socket = TcpStream::connect_timeout(&listen, ANSWER_TIMEOUT).ok()?;
            socket.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
            write!(socket, "GET {path} HTTP/1.1\r\nhost: relay\r\n\r\n").ok()?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(answer)
        };
        // A relay that SIGSTOP has stopped must not block the runtime.
        tokio::task::spawn_blocking(request).await.expect("a request does not panic")
    }
}

impl Drop for RelayProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The executable of `flame-relay`.
pub async fn executable() -> PathBuf {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| cargo_build::executable("flame-relay"));
    tokio::task::spawn_blocking(|| EXECUTABLE.clone()).await.expect("flame-relay is built")
}
