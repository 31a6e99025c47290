//! For tests: an SDK configuration, and a server that is not AWS.

use aws_config::{BehaviorVersion, Region, SdkConfig};
#[cfg(all(not(feature = "ecs"), not(feature = "lambda"), not(feature = "code-s3")))]
use aws_sdk_cloudwatch::config::{Credentials, SharedCredentialsProvider};
#[cfg(feature = "ecs")]
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
#[cfg(all(not(feature = "ecs"), feature = "lambda"))]
use aws_sdk_lambda::config::{Credentials, SharedCredentialsProvider};
#[cfg(all(not(feature = "ecs"), not(feature = "lambda"), feature = "code-s3"))]
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An SDK configuration that sends all requests to `endpoint`.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("1", "secret", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Starts a server that answers every request with this page. Returns its address.
pub(crate) async fn page_server(status: u16, page: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 65_536];
            let _ = socket.read(&mut request).await.unwrap();
            let head = format!(
                "HTTP/1.1 {status} -\r\ncontent-type: text/html\r\ncontent-length: {}\r\n",
                page.len()
            );
            let answer = format!("{head}connection: close\r\n\r\n{page}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    endpoint
}
