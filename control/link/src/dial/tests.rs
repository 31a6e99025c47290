use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const FINGERPRINT: Fingerprint = Fingerprint([0; 32]);

/// A server that answers one request with `response`, and closes the connection.
struct OneResponse {
    listener: TcpListener,
    response: &'static str,
}

impl OneResponse {
    async fn new(response: &'static str) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), response }
    }

    /// Dials the server at `path`. Returns the first line of the request, and why the dial failed.
    async fn dialled_at(&self, path: &str) -> (String, DialError) {
        let address = format!("ws://{}{path}", self.listener.local_addr().unwrap());
        let (request, dialled) = tokio::join!(self.respond(), dial(&address, FINGERPRINT));
        (request, dialled.unwrap_err())
    }

    async fn respond(&self) -> String {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(self.response.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_websocket_is_requested_at_the_path_of_the_address() {
    let server = OneResponse::new("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    for (path, requested) in [
        ("", "/flame/v1"),
        ("/", "/flame/v1"),
        ("/v1/runner/f-ab", "/v1/runner/f-ab"),
        ("/v1/runner/f-ab/", "/v1/runner/f-ab/"),
        ("/a:b@c=d", "/a:b@c=d"),
    ] {
        let (request, _) = server.dialled_at(path).await;
        assert_eq!(request, format!("GET {requested} HTTP/1.1"), "{path}");
    }
}

#[tokio::test]
async fn a_rejected_upgrade_says_its_status_and_its_reason() {
    let response = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 34\r\n\r\n\
                    the limit of 10 pairs was reached\n";
    let (_, error) = OneResponse::new(response).await.dialled_at("").await;
    assert!(matches!(error, DialError::UpgradeRejected { status: 429, .. }), "{error:?}");
    let shown = error.to_string();
    assert!(shown.ends_with("HTTP status 429: the limit of 10 pairs was reached"), "{shown}");
}

#[tokio::test]
async fn a_rejected_upgrade_without_a_reason_says_its_status() {
    let response = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let (_, error) = OneResponse::new(response).await.dialled_at("").await;
    assert!(error.to_string().ends_with("HTTP status 503"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_reported() {
    let (_, error) = OneResponse::new("+OK POP3 ready\r\n\r\n").await.dialled_at("").await;
    assert!(matches!(error, DialError::WebSocket { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_with_a_query_or_a_fragment_is_rejected() {
    for address in ["ws://127.0.0.1:1/a?b", "ws://127.0.0.1:1?b", "ws://127.0.0.1:1/a#b"] {
        let error = dial(address, FINGERPRINT).await.unwrap_err();
        assert!(matches!(error, DialError::Address { .. }), "{error:?}");
    }
}
