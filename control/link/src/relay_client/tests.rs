use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers one request with this text. Returns its address, and the request.
async fn answering(
    answer: &'static str,
) -> (String, tokio::task::JoinHandle<std::io::Result<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await?);
        }
        socket.write_all(answer.as_bytes()).await?;
        Ok(String::from_utf8_lossy(&request).into_owned())
    });
    (address, served)
}

#[tokio::test]
async fn the_request_has_the_path_and_the_key() {
    let (address, served) = answering("HTTP/1.1 404 Not Found\r\n\r\n").await;
    dial_relay(&address, "/v1/socket/12", "s3cret").await.unwrap_err();
    let request = served.await.unwrap().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /v1/socket/12 http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer s3cret\r\n"), "{request}");
}

#[tokio::test]
async fn an_address_with_a_path_is_refused_before_anything_is_sent() {
    for path in ["/relay", "/v1/parent", "//"] {
        let address = format!("ws://127.0.0.1:1{path}");
        let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
        assert!(matches!(error, RelayDialError::Address), "{error:?}");
        assert!(error.to_string().contains("without a path"), "{error}");
    }
}

#[tokio::test]
async fn a_relay_that_rejects_the_key_and_one_that_refuses_are_told_apart() {
    let (address, _) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
    let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
    assert!(matches!(error, RelayDialError::KeyRejected), "{error:?}");

    let (address, _) =
        answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\n\r\nit is\x1b ill\n")
            .await;
    let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
    let text = "the server answered with HTTP status 503: it is? ill";
    assert_eq!(error.to_string(), text, "{error:?}");
}

#[tokio::test]
async fn no_error_shows_the_key() {
    let key = "key\nwith a line break";
    let error = dial_relay("ws://127.0.0.1:1", "/v1/parent", key).await.unwrap_err();
    assert!(matches!(error, RelayDialError::Key), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("line break"));
}

#[tokio::test]
async fn a_server_that_is_not_a_relay_is_told_apart_from_a_relay() {
    for (answer, why) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "invalid HTTP version"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "not those of a WebSocket"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "not those of a WebSocket",
        ),
        ("", "end of file"),
    ] {
        let (address, _) = answering(answer).await;
        let error = dial_relay(&address, "/v1/parent", "s3cret").await.unwrap_err();
        assert!(matches!(error, RelayDialError::WebSocket(_)), "{error:?}");
        let error = flame_wire::error::Chain(&error).to_string();
        assert!(error.contains("as a relay does") && error.contains(why), "{error}");
    }
}

/// Everything that any library logs in this process.
struct LoggedText(std::sync::Mutex<String>);

static LOGGED: LoggedText = LoggedText(std::sync::Mutex::new(String::new()));

impl log::Log for LoggedText {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}\n", record.target(), record.args());
        self.0.lock().unwrap().push_str(&line);
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn no_library_logs_the_key() {
    const KEY: &str = "a-key-that-is-in-no-log";
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let key = crate::ServerKey::generate().unwrap();
    let (address, served) = answering("HTTP/1.1 404 Not Found\r\n\r\n").await;
    // A runner's request has no key, and the library logs it.
    crate::dial(&format!("{address}/v1/runner/f-1"), key.fingerprint()).await.unwrap_err();
    served.await.unwrap().unwrap();
    assert!(LOGGED.0.lock().unwrap().contains("GET /v1/runner/f-1"), "the log is captured");

    let (address, served) = answering("HTTP/1.1 404 Not Found\r\n\r\n").await;
    dial_relay(&address, "/v1/parent", KEY).await.unwrap_err();
    assert!(served.await.unwrap().unwrap().contains(KEY));
    let logged = LOGGED.0.lock().unwrap();
    assert!(!logged.contains(KEY), "{logged}");
}
