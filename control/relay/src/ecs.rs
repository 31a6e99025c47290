//! This node's own address in an ECS task, from the task's metadata endpoint.
//!
//! Each container has `ECS_CONTAINER_METADATA_URI_V4` in its environment: the address of an HTTP
//! endpoint on the task's own network, without TLS or credentials (AWS documentation, "Task
//! metadata endpoint version 4"). The runner's crate has a client for it as well, but brings in all
//! that a runner needs.

use std::net::Ipv4Addr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

/// The variable with the endpoint's address.
pub const METADATA_URI_ENV: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The limit for one request. The endpoint is on this machine, and answers in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of attempts, and the pause between them: the endpoint may be up a little later than
/// the container.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// Why the metadata of this task can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The endpoint does not answer, or its answer does not decode.
    #[error("the metadata endpoint of this ECS task, {uri}, can't be read: {why}; set --address")]
    Unreadable {
        /// The address of the request.
        uri: String,
        /// What went wrong.
        why: String,
    },
    /// The task has no address of its own.
    #[error(
        "this ECS task has no address of its own (its network mode is not awsvpc); set --address"
    )]
    NoAddress,
}

/// The private address of the task that has this metadata endpoint.
///
/// # Errors
/// [`MetadataError`].
pub async fn own_address(uri: &str) -> Result<Ipv4Addr, MetadataError> {
    let mut attempts = 1;
    loop {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request(uri)).await;
        let why = match answer.map_err(|_| "it did not answer in time".to_owned()) {
            Ok(Ok(bytes)) => return address_in(&bytes, uri),
            Ok(Err(why)) | Err(why) => why,
        };
        if attempts == ATTEMPTS {
            return Err(MetadataError::Unreadable { uri: uri.to_owned(), why });
        }
        attempts += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn request(uri: &str) -> Result<Bytes, String> {
    let uri: Uri = uri.parse().map_err(|_| "the address is not a URI".to_owned())?;
    let host = uri.host().ok_or("the address has no host")?.to_owned();
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(80)));
    let tcp = tcp.await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tcp));
    let (mut client, connection) = handshake.await.map_err(|error| error.to_string())?;
    let request = Request::get(uri.path()).header("host", host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = async {
        let answer = client.send_request(request).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answered with status {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        Ok(body.map_err(|error| error.to_string())?.to_bytes())
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The end of the connection may be the end of the answer.
        _ = &mut connection => answer.await,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(default)]
    networks: Vec<Network>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(default)]
    network_mode: String,
    #[serde(rename = "IPv4Addresses", default)]
    addresses: Vec<Ipv4Addr>,
}

/// An address that others in the VPC can reach. The address of a bridge works only on its own host.
fn address_in(answer: &[u8], uri: &str) -> Result<Ipv4Addr, MetadataError> {
    let metadata: Metadata = serde_json::from_slice(answer).map_err(|error| {
        MetadataError::Unreadable { uri: uri.to_owned(), why: error.to_string() }
    })?;
    let own = metadata.networks.into_iter().filter(|network| network.network_mode == "awsvpc");
    own.flat_map(|network| network.addresses).next().ok_or(MetadataError::NoAddress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_the_task_itself_is_used() {
        let answer = br#"{"Name":"relay","Networks":[
            {"NetworkMode":"bridge","IPv4Addresses":["172.17.0.2"]},
            {"NetworkMode":"awsvpc","IPv4Addresses":["10.0.2.100"],"MACAddress":"0e:9e"}]}"#;
        assert_eq!(address_in(answer, "").unwrap(), Ipv4Addr::new(10, 0, 2, 100));
        let bridge = br#"{"Networks":[{"NetworkMode":"bridge","IPv4Addresses":["172.17.0.2"]}]}"#;
        assert!(matches!(address_in(bridge, ""), Err(MetadataError::NoAddress)));
        assert!(matches!(address_in(b"{}", ""), Err(MetadataError::NoAddress)));
        assert!(matches!(address_in(b"<html>", ""), Err(MetadataError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn the_endpoint_is_asked_over_http() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/v4/abc", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(tcp.read_u8().await.unwrap());
            }
            let body = r#"{"Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["10.1.2.3"]}]}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            tcp.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        assert_eq!(own_address(&uri).await.unwrap(), Ipv4Addr::new(10, 1, 2, 3));
        assert!(server.await.unwrap().starts_with("GET /v4/abc HTTP/1.1\r\n"));
    }
}
