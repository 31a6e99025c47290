//! A server at a TCP port in front of an engine, which keeps what clients send, and can fail requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::Engine;

/// The answer to a request that has to fail, in the words of an engine that can't unmount a file
/// system yet.
const FAILURE: &str = r#"{"message":"device or resource busy"}"#;

/// A proxy that records the requests that it forwards. It accepts connections until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    failing: Failing,
    task: JoinHandle<()>,
}

/// The methods of the requests that have to fail, one for each request.
type Failing = Arc<Mutex<Vec<&'static str>>>;

/// What a client has sent on one connection.
type Sent = Arc<Mutex<Vec<u8>>>;

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Starts a recorder in front of this engine.
    pub async fn start(engine: &Engine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the recorder");
        let address = listener.local_addr().expect("the listener is bound");
        let (host, sent) = (engine.host().to_owned(), Arc::new(Mutex::new(Vec::new())));
        let (connections, failing) = (sent.clone(), Failing::default());
        let to_fail = failing.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let sent = Sent::default();
                connections.lock().expect("nothing panics with the lock").push(sent.clone());
                tokio::spawn(forward(client, host.clone(), sent, to_fail.clone()));
            }
        });
        Self { address, sent, failing, task }
    }

    /// The address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as an engine's.
    #[must_use]
    pub fn host(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Fails the next requests with this method, as many as `count`, with HTTP 500.
    pub fn fail_next(&self, method: &'static str, count: usize) {
        let mut failing = self.failing.lock().expect("nothing panics with the lock");
        failing.extend(std::iter::repeat_n(method, count));
    }

    /// How many requests have still to fail.
    #[must_use]
    pub fn failures_left(&self) -> usize {
        self.failing.lock().expect("nothing panics with the lock").len()
    }

    /// How many clients have connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sent.lock().expect("nothing panics with the lock").len()
    }

    /// The JSON bodies of the requests whose paths end with this. A client uses a connection for
    /// one request.
    #[must_use]
    pub fn bodies(&self, path: &str) -> Vec<Value> {
        let sent = self.sent.lock().expect("nothing panics with the lock");
        let requests = sent.iter().map(|sent| {
            let sent = sent.lock().expect("nothing panics with the lock");
            String::from_utf8_lossy(&sent).into_owned()
        });
        let body = |request: String| {
            let (head, body) = request.split_once("\r\n\r\n")?;
            let asked = head.split(' ').nth(1)?.split('?').next()?;
            // The body may come in chunks, with their lengths before them.
            let json = body.get(body.find('{')?..=body.rfind('}')?)?;
            asked.ends_with(path).then(|| serde_json::from_str(json).expect("the body is JSON"))
        };
        requests.filter_map(body).collect()
    }
}

async fn forward(mut client: TcpStream, host: String, sent: Sent, failing: Failing) {
    let mut first = vec![0; 16 * 1024];
    let Ok(len @ 1..) = client.read(&mut first).await else { return };
    first.truncate(len);
    if must_fail(&first, &failing) {
        let len = FAILURE.len();
        let head = format!("HTTP/1.1 500 \r\nconnection: close\r\ncontent-length: {len}\r\n\r\n");
        let _ = client.write_all(format!("{head}{FAILURE}").as_bytes()).await;
        return;
    }
    // The client sees every failure, so it need not be reported.
    if let Some(path) = host.strip_prefix("unix://") {
        if let Ok(engine) = UnixStream::connect(path).await {
            exchange(client, engine, first, &sent).await;
        }
    } else if let Some(address) = host.strip_prefix("tcp://")
        && let Ok(engine) = TcpStream::connect(address).await
    {
        exchange(client, engine, first, &sent).await;
    }
}

/// Whether the request that begins with these bytes has to fail.
fn must_fail(request: &[u8], failing: &Failing) -> bool {
    let mut failing = failing.lock().expect("nothing panics with the lock");
    let has_method = |method: &&str| request.starts_with(format!("{method} ").as_bytes());
    let found = failing.iter().position(has_method);
    found.map(|at| failing.remove(at)).is_some()
}

async fn exchange(
    client: TcpStream,
    engine: impl AsyncRead + AsyncWrite + Send,
    first: Vec<u8>,
    sent: &Mutex<Vec<u8>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let to_engine = async {
        let mut chunk = first;
        loop {
            sent.lock().expect("nothing panics with the lock").extend_from_slice(&chunk);
            if to_engine.write_all(&chunk).await.is_err() {
                return;
            }
            chunk.resize(16 * 1024, 0);
            let Ok(len @ 1..) = from_client.read(&mut chunk).await else { return };
            chunk.truncate(len);
        }
    };
    tokio::select! {
        // A client that has gone needs no answer.
        () = to_engine => {}
        _ = tokio::io::copy(&mut from_engine, &mut to_client) => {}
    }
}
