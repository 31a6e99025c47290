//! A relay in this process, and clients for it.

use std::net::SocketAddr;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use flame_relay::config::Config;
use flame_relay::keys::KeyTexts;
use flame_relay::{Relay, Stopper};
use flame_wire::ids::RunnerRef;
use flame_wire::relay::{
    PARENT_PATH, ParentToRelay, RUNNER_PATH, RelayToParent, SOCKET_PATH, Ticket,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub(crate) const KEY: &str = "a-key-of-a-parent-in-a-test-1234567890";
pub(crate) const OTHER_KEY: &str = "another-key-of-a-parent-in-a-test-1234";
pub(crate) const RUNNER: RunnerRef = RunnerRef::from_bytes([7; 16]);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// The time limit of all tests together, which take 20 s on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The time limit of one step, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A relay in this process.
pub(crate) struct TestRelay {
    clients: Clients,
    /// Where the metrics and the page are, if they have an address of their own.
    pub(crate) page: Option<SocketAddr>,
    pub(crate) stopper: Stopper,
    pub(crate) running: JoinHandle<()>,
}

/// Connects to a relay, in this process or in another one.
pub(crate) struct Clients {
    pub(crate) address: SocketAddr,
}

impl std::ops::Deref for TestRelay {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        start_watchdog();
        let keys = KeyTexts::parse(&format!("{KEY},{OTHER_KEY}")).unwrap();
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), keys);
        change(&mut config);
        let relay = Relay::bind(config).await.unwrap();
        let address = relay.local_address().unwrap();
        let page = relay.metrics_address().map(Result::unwrap);
        let stopper = relay.stopper();
        Self { clients: Clients { address }, page, stopper, running: tokio::spawn(relay.run()) }
    }
}

impl Clients {
    pub(crate) async fn parent(&self) -> Parent {
        Parent::connect(self.address, KEY).await.unwrap()
    }

    /// A parent that has registered [`RUNNER`].
    pub(crate) async fn parent_of_runner(&self) -> Parent {
        let mut parent = self.parent().await;
        parent.register(&[RUNNER]).await;
        parent
    }

    /// Starts to connect as [`RUNNER`].
    pub(crate) fn runner(&self) -> JoinHandle<Result<Socket, Error>> {
        let address = self.address;
        tokio::spawn(async move { connect(address, &format!("{RUNNER_PATH}{RUNNER}"), None).await })
    }

    /// A runner's socket and its parent's.
    pub(crate) async fn pair(&self, parent: &mut Parent) -> (Socket, Socket) {
        let runner = self.runner();
        let ticket = parent.ticket().await;
        let socket = self.socket(ticket).await.unwrap();
        (runner.await.unwrap().unwrap(), socket)
    }

    pub(crate) async fn socket(&self, ticket: Ticket) -> Result<Socket, Error> {
        let path = format!("{SOCKET_PATH}{}", ticket.to_path());
        connect(self.address, &path, Some(KEY)).await
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        get(self.address, path).await
    }

    /// The value of this series of `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        metric(&self.get("/metrics").await, series)
    }

    /// Waits until this series of `/metrics` has this value.
    pub(crate) async fn until_metric(&self, series: &str, value: f64) {
        let line = format!("{series} {value}");
        while !self.get("/metrics").await.lines().any(|other| other == line) {}
    }
}

/// A control connection.
pub(crate) struct Parent {
    pub(crate) socket: Socket,
    pub(crate) welcome: RelayToParent,
    address: SocketAddr,
}

impl Parent {
    pub(crate) async fn connect(address: SocketAddr, key: &str) -> Result<Self, Error> {
        let mut socket = connect(address, PARENT_PATH, Some(key)).await?;
        let welcome = receive_message(&mut socket).await.expect("a welcome");
        Ok(Self { socket, welcome, address })
    }

    /// Registers runners, and waits until they are.
    pub(crate) async fn register(&mut self, runners: &[RunnerRef]) {
        self.register_for(runners, Duration::from_secs(600)).await;
    }

    pub(crate) async fn register_for(&mut self, runners: &[RunnerRef], expires_in: Duration) {
        let message = ParentToRelay::Register {
            runners: runners.to_vec(),
            expires_in_ms: expires_in.as_millis() as u64,
        };
        self.send(&message).await;
    }

    pub(crate) async fn send(&mut self, message: &ParentToRelay) {
        let bytes = message.encode().unwrap();
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
        // The relay reads in order: its pong says that it has read the message.
        self.socket.send(Message::Ping("read".into())).await.unwrap();
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Pong(payload) if payload == "read" => return,
                Message::Ping(_) | Message::Pong(_) => {}
                message => panic!("unexpected {message:?}"),
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> RelayToParent {
        receive_message(&mut self.socket).await.expect("a message")
    }

    /// The ticket of the next runner that waits.
    pub(crate) async fn ticket(&mut self) -> Ticket {
        match self.receive().await {
            RelayToParent::RunnerWaiting { ticket, .. } => ticket,
            message => panic!("unexpected {message:?} from {}", self.address),
        }
    }
}

/// Makes this process exit at the time limit, so that a test that hangs has failed. By then, the
/// test runner has named it.
pub(crate) fn start_watchdog() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::spawn(|| {
            thread::sleep(LIMIT);
            eprintln!("the tests of the relay took longer than {LIMIT:?}");
            std::process::exit(1);
        });
    });
}

/// The next message; `None` if the connection has ended.
pub(crate) async fn receive_message(socket: &mut Socket) -> Option<RelayToParent> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(bytes) = message {
            return Some(RelayToParent::decode(&bytes).unwrap());
        }
    }
    None
}

/// The code with which the relay closes this socket; `None` if it just disconnects. Disconnects as
/// well.
pub(crate) async fn close_code(socket: &mut Socket) -> Option<u16> {
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            code = frame.map(|frame| frame.code.into());
        }
    }
    let _ = socket.get_mut().shutdown().await;
    code
}

pub(crate) async fn receive_binary(socket: &mut Socket) -> Vec<u8> {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(bytes) => return bytes.to_vec(),
            Message::Ping(_) | Message::Pong(_) => {}
            message => panic!("unexpected {message:?}"),
        }
    }
}

pub(crate) async fn connect(
    address: SocketAddr,
    path: &str,
    key: Option<&str>,
) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    if let Some(key) = key {
        let header = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", header);
    }
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    Ok(client_async_with_config(request, tcp, Some(config)).await?.0)
}

/// The status and the text of the answer with which a socket was refused.
pub(crate) fn refusal(result: Result<Socket, Error>) -> (u16, String) {
    match result {
        Err(Error::Http(answer)) => {
            let body = answer.body().clone().unwrap_or_default();
            (answer.status().as_u16(), String::from_utf8(body).unwrap())
        }
        Err(error) => panic!("unexpected {error}"),
        Ok(_) => panic!("the socket was accepted"),
    }
}

/// Requests a path, and returns the whole answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    request(address, &format!("GET {path} HTTP/1.1\r\nhost: relay\r\n\r\n")).await
}

/// Waits for something that has to happen soon. A test that would wait for ever says what for.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(SOON, happens).await;
    happened.unwrap_or_else(|_| panic!("within {SOON:?}, this did not happen: {what}"))
}

/// Sends these bytes, and returns all that the relay answers until it disconnects.
pub(crate) async fn request(address: SocketAddr, bytes: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of this series in the text of `/metrics`.
pub(crate) fn metric(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().unwrap()
}
