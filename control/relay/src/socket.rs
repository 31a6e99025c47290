//! A client's socket: TCP, or TLS over it; in memory, if the network is simulated.

use tokio::io::{AsyncRead, AsyncWrite};

/// A client's socket.
pub(crate) type Socket = Box<dyn ByteStream>;

/// A two-way stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}
