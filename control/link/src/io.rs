//! One socket, over any kind of byte stream.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The buffer of an in-memory socket in each direction, in bytes. It holds one batch of the driver.
const IN_MEMORY_BUFFER: usize = 128 * 1024;

/// A byte stream between a parent and a runner, at any layer: TCP, WebSocket or TLS.
pub struct Io {
    socket: Box<dyn ByteStream>,
    /// Bytes that a handshake has read beyond its own message. They are read first.
    early: BytesMut,
}

trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("early", &self.early.len()).finish_non_exhaustive()
    }
}

impl Io {
    /// Wraps any byte stream.
    pub fn new(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { socket: Box::new(socket), early: BytesMut::new() }
    }

    /// The same byte stream, with `early` in front of the bytes that are still to come.
    #[must_use]
    pub fn with_early(mut self, early: BytesMut) -> Self {
        self.early = early;
        self
    }
}

/// Makes the two ends of a socket within this process.
#[must_use]
pub fn in_memory() -> (Io, Io) {
    let (a, b): (DuplexStream, DuplexStream) = tokio::io::duplex(IN_MEMORY_BUFFER);
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

    /// Passed on, so that the TLS records of one write become one WebSocket message.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn slices_written_together_reach_the_socket_together() {
        let (near, _far) = tokio::io::duplex(64);
        // Two layers, as TLS over a WebSocket has them.
        let mut io = Io::new(Io::new(near));
        assert!(io.is_write_vectored());
        let slices = [IoSlice::new(b"one"), IoSlice::new(b"two")];
        assert_eq!(io.write_vectored(&slices).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn early_bytes_are_read_first() {
        let (near, mut far) = in_memory();
        far.write_all(b"late").await.unwrap();
        drop(far);
        let mut read = Vec::new();
        let mut io = near.with_early(BytesMut::from(b"early ".as_slice()));
        tokio::io::AsyncReadExt::read_to_end(&mut io, &mut read).await.unwrap();
        assert_eq!(read, b"early late");
    }
}
