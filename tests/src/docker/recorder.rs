//! A server at a TCP port in front of an engine, which keeps what clients send.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::Engine;

/// A proxy that records the requests that it forwards. It accepts connections until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    task: JoinHandle<()>,
}

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
        let connections = sent.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let sent = Sent::default();
                connections.lock().expect("nothing panics with the lock").push(sent.clone());
                tokio::spawn(forward(client, host.clone(), sent));
            }
        });
        Self { address, sent, task }
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

async fn forward(client: TcpStream, host: String, sent: Sent) {
    // The client sees every failure, so it need not be reported.
    if let Some(path) = host.strip_prefix("unix://") {
        if let Ok(engine) = UnixStream::connect(path).await {
            exchange(client, engine, &sent).await;
        }
    } else if let Some(address) = host.strip_prefix("tcp://")
        && let Ok(engine) = TcpStream::connect(address).await
    {
        exchange(client, engine, &sent).await;
    }
}

async fn exchange(
    client: TcpStream,
    engine: impl AsyncRead + AsyncWrite + Send,
    sent: &Mutex<Vec<u8>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let to_engine = async {
        let mut chunk = vec![0; 16 * 1024];
        while let Ok(len @ 1..) = from_client.read(&mut chunk).await {
            sent.lock().expect("nothing panics with the lock").extend_from_slice(&chunk[..len]);
            if to_engine.write_all(&chunk[..len]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        // A client that has gone needs no answer.
        () = to_engine => {}
        _ = tokio::io::copy(&mut from_engine, &mut to_client) => {}
    }
}
