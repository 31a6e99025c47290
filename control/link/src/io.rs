//! One socket, whatever it is made of.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What an in-memory socket holds in each direction, in bytes: a batch of the driver.
const IN_MEMORY: usize = 128 * 1024;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A byte stream between a parent and a runner, past its handshakes.
pub struct Io {
    socket: Box<dyn Socket>,
    /// Read beyond the handshake.
    early: BytesMut,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("early", &self.early.len()).finish_non_exhaustive()
    }
}

impl Io {
    /// Any byte stream.
    pub fn new(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { socket: Box::new(socket), early: BytesMut::new() }
    }

    /// The same, with bytes that are read first.
    #[must_use]
    pub fn with_early(mut self, early: BytesMut) -> Self {
        self.early = early;
        self
    }
}

/// Two ends of a socket within this process.
#[must_use]
pub fn in_memory() -> (Io, Io) {
    let (a, b): (DuplexStream, DuplexStream) = tokio::io::duplex(IN_MEMORY);
    (Io::new(a), Io::new(b))
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let len = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..len]);
        self.early.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
