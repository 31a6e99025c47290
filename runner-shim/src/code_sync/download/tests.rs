use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const SECRET: &str = "X-Amz-Signature=5ec2e7";

/// A server that answers one request with these bytes. Returns its URL, and the request.
async fn server(answer: String) -> (PresignedUrl, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bucket/key?{SECRET}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 65_536];
        let len = socket.read(&mut request).await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request[..len].to_vec()).unwrap()
    });
    (url.try_into().unwrap(), served)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn download(url: &PresignedUrl, len: u64) -> Result<Vec<u8>, DownloadError> {
    let mut download = Download::start(url, len).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = download.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The text of the error with all its causes, which must not contain the secret.
async fn error(answer: String, len: u64) -> String {
    let (url, _served) = server(answer).await;
    let error = download(&url, len).await.unwrap_err();
    let text = flame_wire::error::Chain(&error).to_string();
    assert!(!format!("{text} {error:?}").contains("5ec2e7"), "{error:?}");
    text
}

#[tokio::test]
async fn the_object_is_requested_with_the_whole_query_and_arrives_whole() {
    let (url, served) = server(answer("200 OK", "executable")).await;
    assert_eq!(download(&url, 10).await.unwrap(), b"executable");
    let request = served.await.unwrap();
    assert!(request.starts_with("GET /bucket/key?X-Amz-Signature=5ec2e7 HTTP/1.1"), "{request}");
    assert!(request.to_lowercase().contains("host: 127.0.0.1:"), "{request}");
}

#[tokio::test]
async fn an_error_response_is_reported_with_the_reason_of_s3() {
    let body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let error = error(answer("403 Forbidden", body), 10).await;
    assert!(error.contains("status 403: AccessDenied, Request has expired"), "{error}");
    assert!(error.contains("s3:GetObject"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let head = "HTTP/1.1 307 -\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let error = error(head.to_owned(), 10).await;
    assert!(error.contains("status 307"), "{error}");
}

#[tokio::test]
async fn an_object_of_another_length_is_not_downloaded() {
    let error = error(answer("200 OK", "executables"), 10).await;
    assert!(error.contains("sent 11 bytes") && error.contains("has 10"), "{error}");
}

#[tokio::test]
async fn a_body_that_is_longer_than_the_executable_is_cut_off() {
    let body = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nexecutables\r\n0\r\n\r\n";
    let error = error(body.to_owned(), 10).await;
    assert!(error.contains("more bytes than the executable has"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_body_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nexec";
    let error = error(head.to_owned(), 10).await;
    assert!(error.contains("broke"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_host_and_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = PresignedUrl::try_from(format!("http://user:5ec2e7@{address}/key?{SECRET}"));
    let error = download(&url.unwrap(), 10).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
    assert!(!format!("{error:?}").contains("5ec2e7"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_fails_the_handshake() {
    let (url, _served) = server(answer("200 OK", "executable")).await;
    let https = PresignedUrl::try_from(url.as_str().replace("http://", "https://")).unwrap();
    let error = download(&https, 10).await.unwrap_err();
    assert!(matches!(error, DownloadError::Tls { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/key", listener.local_addr().unwrap());
    let error = download(&url.try_into().unwrap(), 10).await.unwrap_err();
    assert!(matches!(error, DownloadError::Timeout { .. }), "{error}");
}
