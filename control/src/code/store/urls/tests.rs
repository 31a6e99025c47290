//! A runner that asks for a URL while the upload of the executable is slow.

use std::path::PathBuf;
use std::time::Duration;

use flame_wire::code::{CodeHash, Offer};
use flame_wire::ids::BuildId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::super::location::StoreLocation;
use super::*;
use crate::backend::aws::testing::config;

const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);
const BOOT: Duration = Duration::from_secs(40);

/// A server that lacks the executable, and answers its upload only when it is told to.
struct SlowServer {
    endpoint: String,
    /// The upload has arrived.
    uploading: oneshot::Receiver<()>,
    answer: oneshot::Sender<()>,
}

impl SlowServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (has_arrived, uploading) = oneshot::channel();
        let (answer, may_answer) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let (mut search, _) = listener.accept().await.unwrap();
            assert!(read_head(&mut search).await.starts_with("HEAD "));
            let missing = b"HTTP/1.1 404 -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            search.write_all(missing).await.unwrap();
            let (mut upload, _) = listener.accept().await.unwrap();
            assert!(read_head(&mut upload).await.starts_with("PUT "));
            has_arrived.send(()).unwrap();
            may_answer.await.unwrap();
            upload.write_all(b"HTTP/1.1 200 -\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        });
        Self { endpoint, uploading, answer }
    }

    fn store(&self) -> Arc<SharedStore> {
        let location = StoreLocation::parse("s3://my-bucket/flame").unwrap();
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let (build, len) = (BuildId::new("b"), std::fs::metadata(&path).unwrap().len());
        let hash = CodeHash([7; 32]);
        let offer = Offer { build, len, hash, target: "here".to_owned(), in_store: true };
        Arc::new(SharedStore::new(location, None, Some(config(&self.endpoint)), path, offer))
    }
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_slow_upload_leaves_half_of_the_boots_time_and_serves_a_later_runner() {
    let server = SlowServer::start().await;
    let store = server.store();
    let begin = Instant::now();
    let mut urls = store.urls(RUNNER, begin + BOOT);
    let uploading = async {
        server.uploading.await.unwrap();
        // Nothing but the time goes on now.
        tokio::time::pause();
    };
    let (url, ()) = tokio::join!(urls.url(), uploading);
    let waited = begin.elapsed();
    tokio::time::resume();
    assert!(url.is_none(), "the executable is not in the bucket yet");
    assert!(waited >= BOOT / 2 && waited < BOOT / 2 + BOOT / 100, "it has waited for {waited:?}");
    // The upload goes on, although the runner that began it has given up.
    server.answer.send(()).unwrap();
    let mut urls = store.urls(RUNNER, Instant::now() + BOOT);
    assert!(urls.url().await.is_some());
}
