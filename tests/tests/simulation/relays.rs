//! The processes of the relays.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use flame_relay::config::Config;
use flame_relay::keys::KeyTexts;
use flame_relay::{ByteStream, Relay, Stopper};
use flame_wire::ids::RunnerRef;
use flame_wire::relay::RUNNER_PATH;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use crate::certificate;
use crate::network::HostNetwork;

/// The key of all relays.
pub(crate) const KEY: &str = "the-key-of-all-the-simulated-relays";

/// There are fewer relays than this.
pub(crate) const MAX: u8 = 3;

const PORT: u16 = 80;

/// The address of a relay.
pub(crate) fn address(relay: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, relay + 1).into()
}

/// The address on which a relay listens.
pub(crate) fn socket_address(relay: u8) -> SocketAddr {
    SocketAddr::new(address(relay), PORT)
}

/// The URL of a relay.
pub(crate) fn url(relay: u8, has_tls: bool) -> String {
    url_of(socket_address(relay), has_tls)
}

/// The URL of the relay that listens there.
pub(crate) fn url_of(address: SocketAddr, has_tls: bool) -> String {
    format!("{}://{address}", if has_tls { "wss" } else { "ws" })
}

/// The address at which a runner asks the relay with this URL for its parent.
pub(crate) fn runner_address(url: &str, runner: RunnerRef) -> String {
    format!("{url}{RUNNER_PATH}{runner}")
}

/// Tells a relay to drain, once it runs.
pub(crate) type SharedStopper = Arc<Mutex<Option<Stopper>>>;

/// The `main` of a relay.
pub(crate) async fn run(
    relay: u8,
    has_own_address: bool,
    has_tls: bool,
    stopper: SharedStopper,
    network: HostNetwork,
) {
    let mut config =
        Config::new(socket_address(relay), KeyTexts::parse(KEY).expect("the key is valid"));
    config.address = has_own_address.then(|| url(relay, has_tls));
    config.tls = certificate::paths().filter(|_| has_tls);
    let (sender, connections) = mpsc::channel::<(Box<dyn ByteStream>, SocketAddr)>(1);
    let listener = network.bind(PORT).expect("the port is free");
    let relay = Relay::simulated(config, connections).expect("the settings are valid");
    *stopper.lock().expect("nothing panics with the lock") = Some(relay.stopper());
    let accepting = async {
        loop {
            let (socket, peer) = listener.accept().await;
            let _ = sender.send((Box::new(socket), peer)).await;
        }
    };
    tokio::select! {
        () = relay.run() => {}
        () = accepting => {}
    }
}

/// The `main` of a process that reads the metrics of a relay.
pub(crate) async fn read_metrics(
    relay: u8,
    has_tls: bool,
    text: Arc<Mutex<String>>,
    network: HostNetwork,
) {
    let Ok(socket) = network.open(socket_address(relay)).await else { return };
    let mut socket: Box<dyn ByteStream> = Box::new(socket);
    if has_tls {
        let name = ServerName::from(address(relay));
        let connector = TlsConnector::from(certificate::client());
        let Ok(tls) = connector.connect(name, socket).await else { return };
        socket = Box::new(tls);
    }
    let request = b"GET /metrics HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
    if socket.write_all(request).await.is_ok() {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        *text.lock().expect("nothing panics with the lock") =
            String::from_utf8_lossy(&answer).into_owned();
    }
}

/// The metrics that are not zero although no client but the reader is connected.
pub(crate) fn leftovers(metrics: &str) -> Vec<String> {
    const GAUGES: [&str; 2] = ["flame_relay_connections", "flame_relay_registered_runners"];
    let is_leftover =
        |line: &&str| GAUGES.iter().any(|gauge| line.starts_with(gauge)) && !line.ends_with(" 0");
    let lines: Vec<_> = metrics.lines().filter(is_leftover).map(str::to_owned).collect();
    if metrics.contains("flame_relay_registered_runners 0") || !lines.is_empty() {
        lines
    } else {
        vec![format!("the metrics can't be read: {metrics:?}")]
    }
}
