//! The baselines: the same bytes exchanged between two processes, without this library.
//!
//! ```text
//!   measuring process                       echo process (a copy of this executable)
//!     listen ◀───────────── dial ──────────── as echo ws|tls ADDRESS [FINGERPRINT]
//!     send ────────────── message ───────────▶ read it whole
//!     receive ◀─────────── the same ────────── write it back
//! ```
//!
//! With a [hop](hop), a third process forwards the messages between the two.
//!
//! As on a link, the other process connects. So it masks its WebSocket messages, and the measuring
//! process has the TLS key.

mod hop;
mod tls;
mod ws;

use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use flame_wire::hex;
use flame_wire::parent::Fingerprint;
use tokio::net::{TcpListener, TcpStream};

use crate::condition::Condition;
use crate::process::{self, ChildProcess};

pub(crate) use hop::Hop;
pub(crate) use tls::{TlsBaseline, framed};
pub(crate) use ws::WsBaseline;

/// How long the echo process may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of an echo process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    address: SocketAddr,
    /// The fingerprint of the measuring process's certificate. Without one, the echo does not use
    /// TLS.
    fingerprint: Option<Fingerprint>,
}

impl Echo {
    /// Echoes until the other side closes the connection.
    pub(crate) fn run(&self) {
        Condition::default().runtime().block_on(async {
            match self.fingerprint {
                None => ws::echo(dial(self.address).await).await,
                Some(fingerprint) => tls::echo(self.address, fingerprint).await,
            }
        });
    }

    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let unclear = || format!("{words:?} are not the arguments of an echo process");
        let (address, fingerprint) = match words {
            [address] => (address, None),
            [address, fingerprint] => {
                (address, Some(hex::decode(fingerprint).map(Fingerprint).ok_or_else(unclear)?))
            }
            _ => return Err(unclear()),
        };
        let address = address.parse().map_err(|_| unclear())?;
        Ok(Self { address, fingerprint })
    }

    /// Starts the echo process and accepts its connection.
    async fn start(fingerprint: Option<Fingerprint>) -> (TcpStream, EchoProcess) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port to listen on");
        let address = listener.local_addr().expect("the listener's address");
        Self::start_dialling(&listener, address, fingerprint).await
    }

    /// Starts a forwarder and the echo process behind it, and accepts the forwarder's connection.
    async fn start_with_hop() -> (TcpStream, EchoProcess, ChildProcess) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port to listen on");
        let address = listener.local_addr().expect("the listener's address");
        let mut hop = ChildProcess::start(&["hop".to_owned(), address.to_string()]);
        let address = hop.line().await.parse().expect("the forwarder's address");
        let (socket, process) = Self::start_dialling(&listener, address, None).await;
        (socket, process, hop)
    }

    async fn start_dialling(
        listener: &TcpListener,
        address: SocketAddr,
        fingerprint: Option<Fingerprint>,
    ) -> (TcpStream, EchoProcess) {
        let mut role = vec!["echo".to_owned(), address.to_string()];
        role.extend(fingerprint.map(|fingerprint| fingerprint.to_string()));
        let process = EchoProcess(process::copy(&role).spawn().expect("an echo process"));
        let accepted = tokio::time::timeout(CONNECT_TIMEOUT, listener.accept()).await;
        let (socket, _) =
            accepted.expect("the echo process connects in time").expect("its connection");
        socket.set_nodelay(true).expect("a socket without delay");
        (socket, process)
    }
}

/// A running echo process. It is killed when it is dropped.
#[derive(Debug)]
struct EchoProcess(Child);

impl EchoProcess {
    /// The processor time that the process has used so far: that of its first thread, which is its
    /// only one.
    fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.0.id())).ok()?;
        stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn dial(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("the measuring process");
    socket.set_nodelay(true).expect("a socket without delay");
    socket
}
