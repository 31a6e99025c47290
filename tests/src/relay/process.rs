//! The program `flame-relay` as a process of its own, which a test can kill and stop.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use flame_aws::Relay;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{KEY, TestRelay};
use crate::{process, relay_program, until};

/// A process of `flame-relay`, with the default settings. Killed when dropped.
#[derive(Debug)]
pub struct RelayProcess {
    child: Child,
    address: SocketAddr,
}

impl RelayProcess {
    /// Starts a relay on a free port.
    pub async fn start() -> Self {
        // The port of a relay that has ended.
        let address = TestRelay::start().address();
        Self::start_at(address).await
    }

    /// Starts a relay, and waits until it serves.
    ///
    /// # Panics
    /// Panics if it exits.
    pub async fn start_at(address: SocketAddr) -> Self {
        let child = Command::new(relay_program().await)
            .args(["--listen", &address.to_string()])
            .env("FLAME_RELAY_KEYS", KEY)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program exists");
        let mut relay = Self { child, address };
        while !relay.is_healthy().await {
            let exited = relay.child.try_wait().expect("the process is a child of this one");
            assert!(exited.is_none(), "the relay has exited: {exited:?}");
            tokio::task::yield_now().await;
        }
        relay
    }

    /// Where the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the relay with SIGKILL. Returns its address.
    pub fn kill(mut self) -> SocketAddr {
        self.child.kill().expect("the process runs");
        self.child.wait().expect("the process is a child of this one");
        self.address
    }

    /// Stops the process, as SIGSTOP does.
    pub async fn stop(&self) {
        process::signal(self.child.id(), Signal::STOP);
        until("the relay is stopped", || process::is_stopped(self.child.id())).await;
    }

    /// Lets the stopped process continue.
    pub fn resume(&self) {
        process::signal(self.child.id(), Signal::CONT);
    }

    /// The option for a pool.
    #[must_use]
    pub fn option(&self) -> Relay {
        Relay::new(super::url(self.address)).key(KEY)
    }

    async fn is_healthy(&self) -> bool {
        let Ok(mut tcp) = TcpStream::connect(self.address).await else { return false };
        let request = b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n";
        let mut answer = String::new();
        tcp.write_all(request).await.is_ok()
            && tcp.read_to_string(&mut answer).await.is_ok()
            && answer.ends_with("ok\n")
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
