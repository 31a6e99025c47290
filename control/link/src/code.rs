//! The transfer of an executable to a runner of another build. It follows a hello to which the
//! parent has replied with an offer: see [`flame_wire::code`]. If the parent has a code store, the
//! runner may get a URL instead of the bytes; it downloads the executable elsewhere.
//!
//! Each step of the transfer has 10 s, like the steps of the hello. The transfer as a whole has no
//! time limit here: the callers set one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flame_wire::code::{Offer, OfferReply, PresignedUrl, StoreReply};
use flame_wire::error::DecodeError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::handshake::{HelloError, read_into, with_timeout, write};
use crate::io::Io;

/// How many bytes are read and written at a time.
const CHUNK: usize = 256 * 1024;
/// How long a runner that gives up waits for its parent to receive the reason.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a parent that has no URL yet says so. A runner gives up after 10 s without a message.
const WAIT_INTERVAL: Duration = Duration::from_secs(3);

/// The runner's side of a transfer.
#[derive(Debug)]
pub struct CodeDownload {
    offer: Offer,
    bytes_left: u64,
    io: Io,
}

impl CodeDownload {
    pub(crate) fn new(offer: Offer, io: Io) -> Self {
        Self { bytes_left: offer.len, offer, io }
    }

    /// The executable that the parent offers.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Asks the parent for a URL of the executable, and waits for as long as the parent needs to
    /// upload it. `None`: there is no URL.
    ///
    /// # Errors
    /// [`HelloError`] if the socket broke, or if nothing arrived for 10 s.
    pub async fn request_url(&mut self) -> Result<Option<PresignedUrl>, HelloError> {
        write_reply(&mut self.io, &OfferReply::RequestUrl).await?;
        let mut input = BytesMut::new();
        loop {
            let reply = read_into(&mut input, &mut self.io, StoreReply::decode);
            match with_timeout(reply).await? {
                StoreReply::Wait => {}
                StoreReply::Url(url) => return Ok(Some(url)),
                StoreReply::Unavailable => return Ok(None),
            }
        }
    }

    /// Tells the parent why the download from the URL failed, and asks it to send the executable.
    ///
    /// # Errors
    /// [`HelloError`] if the socket broke.
    pub async fn request_after_store_failure(&mut self, why: &str) -> Result<(), HelloError> {
        write_reply(&mut self.io, &OfferReply::StoreFailed(why.to_owned())).await
    }

    /// Asks the parent to send the executable.
    ///
    /// # Errors
    /// [`HelloError`] if the socket broke.
    pub async fn request(&mut self) -> Result<(), HelloError> {
        write_reply(&mut self.io, &OfferReply::Fetch).await
    }

    /// Returns the next bytes, at most 256 KiB, or `None` once the whole executable has arrived.
    /// Not cancel-safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`HelloError`] if the socket broke, or if nothing arrived for 10 s.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, HelloError> {
        let len = usize::try_from(self.bytes_left).unwrap_or(CHUNK).min(CHUNK);
        if len == 0 {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(len);
        while chunk.len() < len {
            let mut rest = (&mut self.io).take((len - chunk.len()) as u64);
            let read = with_timeout(async { Ok(rest.read_buf(&mut chunk).await?) }).await?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        self.bytes_left -= chunk.len() as u64;
        Ok(Some(chunk.freeze()))
    }

    /// Tells the parent that this runner has the executable and is about to execute it. If that
    /// fails, the runner can [report the failure](Self::fail) while the socket is open.
    ///
    /// # Errors
    /// [`HelloError`] if the socket broke. The runner can execute the file all the same.
    pub async fn confirm(&mut self) -> Result<(), HelloError> {
        write_reply(&mut self.io, &OfferReply::Ready).await
    }

    /// Tells the parent why this runner can't execute the file, and waits up to 2 s until the
    /// parent has closed the socket.
    pub async fn fail(mut self, why: &str) {
        let delivered = async {
            if write_reply(&mut self.io, &OfferReply::Failed(why.to_owned())).await.is_ok() {
                // Closing a socket with unread bytes resets it, and the reason would be lost.
                let mut rest = vec![0; CHUNK];
                while self.io.read(&mut rest).await.is_ok_and(|len| len > 0) {}
            }
        };
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, delivered).await;
    }
}

/// The bytes of a parent's executable.
pub trait ChunkSource: Send {
    /// Returns the next bytes, or `None` after the last. All chunks together must have the length
    /// that was offered.
    fn next_chunk(&mut self) -> impl Future<Output = std::io::Result<Option<Bytes>>> + Send;
}

/// A place other than the parent from which runners can download the executable.
pub trait UrlSource: Send {
    /// Returns a URL of the executable, or `None` if there is none. The runner waits for it.
    fn url(&mut self) -> impl Future<Output = Option<PresignedUrl>> + Send;

    /// A runner could not download the executable from the URL.
    fn failed(&mut self, why: &str);
}

/// There is no such place.
#[derive(Debug)]
struct NoUrls;

impl UrlSource for NoUrls {
    async fn url(&mut self) -> Option<PresignedUrl> {
        None
    }

    fn failed(&mut self, _: &str) {}
}

/// The parent's side of a transfer.
#[derive(Debug)]
pub struct CodeUpload {
    io: Io,
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The parent can't read its own executable.
    #[error("the executable can't be read: {0}")]
    Source(#[source] std::io::Error),
    /// The runner disconnected, or does not speak the protocol. It may connect again.
    #[error(transparent)]
    Runner(#[from] HelloError),
}

/// The result of a transfer. A runner that has failed exits when this is dropped, or after 2 s.
#[derive(Debug)]
pub struct UploadOutcome {
    /// The runner's last message: [`OfferReply::Ready`] or [`OfferReply::Failed`].
    pub reply: OfferReply,
    /// The place from which the runner got the executable, if it is ready.
    pub origin: CodeOrigin,
    _io: Io,
}

/// The place from which a runner got its parent's executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOrigin {
    /// From its own cache.
    Cache,
    /// From the URL that the parent sent.
    Store,
    /// From the parent, over the connection.
    Parent,
}

impl CodeUpload {
    pub(crate) fn new(io: Io) -> Self {
        Self { io }
    }

    /// Sends the executable if the runner asks for it, and waits for the outcome. The time that a
    /// runner needs to search its cache is not limited here.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn send(self, chunks: impl ChunkSource) -> Result<UploadOutcome, UploadError> {
        self.send_with(&mut NoUrls, chunks).await
    }

    /// Like [`send`](Self::send), but sends a URL to a runner that asks for one. The time that the
    /// runner needs for its download is not limited here.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn send_with(
        mut self,
        urls: &mut impl UrlSource,
        chunks: impl ChunkSource,
    ) -> Result<UploadOutcome, UploadError> {
        let mut input = BytesMut::new();
        let mut origin = CodeOrigin::Cache;
        let mut reply = self.read_reply(&mut input).await?;
        if reply == OfferReply::RequestUrl {
            origin = CodeOrigin::Store;
            self.send_url(urls).await?;
            reply = self.read_reply(&mut input).await?;
        }
        let reply = match reply {
            OfferReply::RequestUrl => return Err(repeated_request().into()),
            OfferReply::Fetch | OfferReply::StoreFailed(_) => {
                if let OfferReply::StoreFailed(why) = &reply {
                    urls.failed(why);
                }
                origin = CodeOrigin::Parent;
                self.send_all(&mut input, chunks).await?
            }
            reply => last_reply(&mut self.io, &mut input, reply).await,
        };
        Ok(UploadOutcome { reply, origin, _io: self.io })
    }

    async fn read_reply(&mut self, input: &mut BytesMut) -> Result<OfferReply, HelloError> {
        read_into(input, &mut self.io, OfferReply::decode).await
    }

    /// Sends a URL once there is one, or says that there is none.
    async fn send_url(&mut self, urls: &mut impl UrlSource) -> Result<(), HelloError> {
        let url = urls.url();
        tokio::pin!(url);
        loop {
            let reply = match tokio::time::timeout(WAIT_INTERVAL, &mut url).await {
                Ok(Some(url)) => StoreReply::Url(url),
                Ok(None) => StoreReply::Unavailable,
                Err(_) => StoreReply::Wait,
            };
            let mut out = BytesMut::new();
            reply.encode_to(&mut out)?;
            write(&mut self.io, &out).await?;
            if reply != StoreReply::Wait {
                return Ok(());
            }
        }
    }

    async fn send_all(
        &mut self,
        input: &mut BytesMut,
        chunks: impl ChunkSource,
    ) -> Result<OfferReply, UploadError> {
        let (mut from, mut to) = tokio::io::split(&mut self.io);
        let reply = async {
            let reply = read_into(input, &mut from, OfferReply::decode).await?;
            Ok(last_reply(&mut from, input, reply).await)
        };
        tokio::pin!(reply);
        // A runner whose disk is full replies long before it has everything.
        let sent = tokio::select! {
            biased;
            reply = &mut reply => return reply,
            sent = write_chunks(&mut to, chunks) => sent,
        };
        match sent {
            Ok(()) => reply.await,
            Err(error @ UploadError::Source(_)) => Err(error),
            // The runner's reason may have arrived before the socket broke.
            Err(error) => with_timeout(async { Ok(reply.await) }).await?.map_err(|_| error),
        }
    }
}

/// Returns `reply`, unless the runner reports a failure after [`OfferReply::Ready`].
async fn last_reply(
    from: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    reply: OfferReply,
) -> OfferReply {
    if reply != OfferReply::Ready {
        return reply;
    }
    // The socket closes when the runner executes the file.
    match read_into(input, from, OfferReply::decode).await {
        Ok(failed @ OfferReply::Failed(_)) => failed,
        _ => reply,
    }
}

fn repeated_request() -> HelloError {
    let (what, reason) = ("reply to an offer", "the runner asked for a URL twice".to_owned());
    DecodeError::BadValue { what, reason }.into()
}

async fn write_chunks(
    to: &mut (impl AsyncWrite + Unpin),
    mut chunks: impl ChunkSource,
) -> Result<(), UploadError> {
    while let Some(chunk) = chunks.next_chunk().await.map_err(UploadError::Source)? {
        with_timeout(async { Ok(to.write_all(&chunk).await?) }).await?;
    }
    Ok(with_timeout(async { Ok(to.flush().await?) }).await?)
}

async fn write_reply(io: &mut Io, reply: &OfferReply) -> Result<(), HelloError> {
    let mut out = BytesMut::new();
    reply.encode_to(&mut out)?;
    write(io, &out).await
}

#[cfg(test)]
mod tests;
