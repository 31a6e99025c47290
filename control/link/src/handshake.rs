//! Reading and writing the messages that precede a link: the hello, its reply, and the replies to
//! an offer of code. Each message has a time limit.

use std::time::Duration;

use bytes::BytesMut;
use flame_wire::error::{DecodeError, EncodeError};
use flame_wire::hello::Rejection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::io::Io;

/// How long either side waits for the other's message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the hello failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The parent rejected the runner.
    #[error("the parent rejected this runner: {0}")]
    Rejected(Rejection),
    /// The peer sent bytes that are not a hello or a reply.
    #[error("the peer does not speak this protocol")]
    Malformed(#[from] DecodeError),
    /// This side's message is too long.
    #[error("the message cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The socket broke.
    #[error("the connection broke during the hello")]
    Io(#[from] std::io::Error),
    /// The peer sent nothing for 10 s.
    #[error("the peer did not answer within {} s", MESSAGE_TIMEOUT.as_secs())]
    Timeout,
}

/// Reads into `input`, which may hold bytes already, until it holds a whole message.
pub(crate) async fn read_into<T>(
    input: &mut BytesMut,
    io: &mut (impl AsyncRead + Unpin),
    decode: impl Fn(&mut BytesMut) -> Result<Option<T>, DecodeError>,
) -> Result<T, HelloError> {
    loop {
        if let Some(value) = decode(input)? {
            return Ok(value);
        }
        if io.read_buf(input).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Writes a whole message.
pub(crate) async fn write(io: &mut Io, message: &[u8]) -> Result<(), HelloError> {
    with_timeout(async {
        io.write_all(message).await?;
        Ok(io.flush().await?)
    })
    .await
}

/// Limits the time of one step of a handshake.
pub(crate) async fn with_timeout<T>(
    step: impl Future<Output = Result<T, HelloError>>,
) -> Result<T, HelloError> {
    tokio::time::timeout(MESSAGE_TIMEOUT, step).await.map_err(|_| HelloError::Timeout)?
}
