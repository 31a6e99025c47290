//! The download of an executable by HTTP, from a URL that the parent has sent.
//!
//! The URL is a secret, so no error contains more of it than the host and the port. Redirects are
//! not followed, and no proxy is used. The caller checks the hash of the bytes.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use flame_wire::code::PresignedUrl;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

mod answer;
#[cfg(test)]
mod tests;
mod tls;

use super::SyncError;

/// How long the connection may take. A network without a route to the store should not delay the
/// boot for long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long each further step may take: the TLS handshake, the answer, each part of the body.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an executable could not be downloaded from the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    #[error("the URL has no host")]
    Url,
    #[error("cannot connect to {server}")]
    Connect { server: String, source: io::Error },
    #[error("the TLS handshake with {server} failed")]
    Tls { server: String, source: io::Error },
    #[error("{server} did not answer within {} s", .limit.as_secs())]
    Timeout { server: String, limit: Duration },
    #[error("{server} answered with HTTP status {status}{}{}", answer::suffix(.reason), denial(*.status))]
    Status { server: String, status: u16, reason: Option<String> },
    #[error("the connection with {server} broke")]
    Http { server: String, source: hyper::Error },
    #[error("{server} sent {sent} bytes, but the executable has {wanted}")]
    Length { server: String, sent: u64, wanted: u64 },
    #[error("{server} sent more bytes than the executable has")]
    TooLong { server: String },
    #[error("the bytes from the store are not the executable that was offered")]
    Altered,
    /// The executable can't be used or written, wherever it comes from.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// The causes of a 403: the URL has the permissions of the parent that has signed it.
fn denial(status: u16) -> &'static str {
    match status {
        403 => "; the URL has expired, or its parent lacks the permission s3:GetObject",
        _ => "",
    }
}

/// A download whose length fits.
pub(super) struct Download {
    server: Server,
    body: Incoming,
    bytes_left: u64,
    _connection: Connection,
}

impl Download {
    /// Requests the object at `url`, which must have `len` bytes.
    pub(super) async fn start(url: &PresignedUrl, len: u64) -> Result<Self, DownloadError> {
        let uri: Uri = url.as_str().parse().map_err(|_| DownloadError::Url)?;
        let (server, target) = Server::of(&uri)?;
        let (connection, response) = server.request(target).await?;
        let status = response.status().as_u16();
        if status != 200 {
            let reason = answer::reason(response.into_body()).await;
            return Err(DownloadError::Status { server: server.name(), status, reason });
        }
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok());
        if let Some(sent) = announced.and_then(|sent| sent.parse().ok()).filter(|sent| *sent != len)
        {
            return Err(DownloadError::Length { server: server.name(), sent, wanted: len });
        }
        let body = response.into_body();
        Ok(Self { server, body, bytes_left: len, _connection: connection })
    }

    /// Returns the next bytes, or `None` at the end. Together they have at most the wanted length;
    /// the caller notices if they are fewer.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Bytes>, DownloadError> {
        loop {
            let frame = self.server.within(STEP_TIMEOUT, self.body.frame()).await?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|source| self.server.broken(source))?;
            let Ok(chunk) = frame.into_data() else { continue };
            match self.bytes_left.checked_sub(chunk.len() as u64) {
                Some(left) => self.bytes_left = left,
                None => return Err(DownloadError::TooLong { server: self.server.name() }),
            }
            return Ok(Some(chunk));
        }
    }
}

/// The server of a URL.
struct Server {
    host: String,
    port: u16,
    authority: String,
    has_tls: bool,
}

impl Server {
    /// The server, and the target of the request.
    fn of(uri: &Uri) -> Result<(Self, &str), DownloadError> {
        let authority = uri.authority().ok_or(DownloadError::Url)?;
        // `user:password@` is not part of the name.
        let name = authority.as_str().rsplit('@').next().unwrap_or_default().to_owned();
        let has_tls = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if has_tls { 443 } else { 80 });
        // An IPv6 address is in brackets.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok((Self { host, port, authority: name, has_tls }, target))
    }

    /// The host and the port, for errors.
    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn broken(&self, source: hyper::Error) -> DownloadError {
        DownloadError::Http { server: self.name(), source }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        step: impl Future<Output = T>,
    ) -> Result<T, DownloadError> {
        let timed_out = |_| DownloadError::Timeout { server: self.name(), limit };
        tokio::time::timeout(limit, step).await.map_err(timed_out)
    }

    /// Connects, and sends a GET request.
    async fn request(
        &self,
        target: &str,
    ) -> Result<(Connection, Response<Incoming>), DownloadError> {
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let tcp = self.within(CONNECT_TIMEOUT, connect).await?;
        let tcp = tcp.map_err(|source| DownloadError::Connect { server: self.name(), source })?;
        if !self.has_tls {
            return self.request_on(tcp, target).await;
        }
        let tls = self.within(STEP_TIMEOUT, tls::connect(tcp, &self.host)).await?;
        let tls = tls.map_err(|source| DownloadError::Tls { server: self.name(), source })?;
        self.request_on(tls, target).await
    }

    async fn request_on(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        target: &str,
    ) -> Result<(Connection, Response<Incoming>), DownloadError> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|source| self.broken(source))?;
        let connection = Connection(tokio::spawn(async {
            let _ = connection.await;
        }));
        let request =
            Request::get(target).header(HOST, &self.authority).body(Empty::<Bytes>::new());
        let request = request.map_err(|_| DownloadError::Url)?;
        let response = self.within(STEP_TIMEOUT, sender.send_request(request)).await?;
        Ok((connection, response.map_err(|source| self.broken(source))?))
    }
}

/// The task that drives the connection. It ends with the download.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
