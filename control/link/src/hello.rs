//! The hello: the first exchange on each socket. The runner says which runner it is and proves it;
//! the parent replies.

use bytes::BytesMut;
use flame_wire::code::Offer;
use flame_wire::error::DecodeError;
use flame_wire::hello::{Hello, HelloReply, Rejection};
use flame_wire::token::Token;
use tokio::io::AsyncWriteExt;

use crate::code::{CodeDownload, CodeUpload};
use crate::handshake::{HelloError, read_into, with_timeout, write};
use crate::io::Io;

/// How the parent has replied to a hello.
#[derive(Debug)]
pub enum HelloOutcome {
    /// The parent accepts the runner: the socket, and the key with which to resume on another one.
    Welcomed(Io, Token),
    /// The runner is of another build, and may download its parent's executable.
    CodeOffered(CodeDownload),
}

/// The runner's side: sends the hello and waits for the reply.
///
/// # Errors
/// [`HelloError`]. After [`HelloError::Rejected`] there is no point in connecting again.
pub async fn say_hello(mut io: Io, hello: &Hello) -> Result<HelloOutcome, HelloError> {
    let mut out = BytesMut::new();
    hello.encode_to(&mut out)?;
    let (reply, early) = with_timeout(async {
        io.write_all(&out).await?;
        io.flush().await?;
        read(&mut io, HelloReply::decode).await
    })
    .await?;
    let io = io.with_early(early);
    match reply {
        HelloReply::Welcome { resume } => Ok(HelloOutcome::Welcomed(io, resume)),
        HelloReply::CodeOffered(offer) => {
            Ok(HelloOutcome::CodeOffered(CodeDownload::new(offer, io)))
        }
        HelloReply::Rejected(rejection) => Err(HelloError::Rejected(rejection)),
    }
}

/// The parent's side: a runner that has sent its hello and waits for the reply.
#[derive(Debug)]
pub struct IncomingHello {
    /// The runner's message.
    pub hello: Hello,
    io: Io,
}

impl IncomingHello {
    /// Reads the hello on a socket.
    ///
    /// # Errors
    /// [`HelloError`].
    pub async fn read(mut io: Io) -> Result<Self, HelloError> {
        match with_timeout(read(&mut io, Hello::decode)).await {
            Ok((hello, early)) => Ok(Self { hello, io: io.with_early(early) }),
            Err(HelloError::Malformed(error)) => {
                // A runner that learns the reason can log it. A runner that has stopped listening
                // does not matter here.
                let mut out = BytesMut::new();
                if HelloReply::Rejected(error.clone().into()).encode_to(&mut out).is_ok() {
                    let _ = with_timeout(async { Ok(io.write_all(&out).await?) }).await;
                    let _ = with_timeout(async { Ok(io.shutdown().await?) }).await;
                }
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Accepts the runner. To come back on another socket, it has to show `resume`.
    ///
    /// # Errors
    /// [`HelloError`] if the runner has disconnected.
    pub async fn welcome(self, resume: Token) -> Result<Io, HelloError> {
        self.reply(&HelloReply::Welcome { resume }).await
    }

    /// Rejects the runner, and closes the socket.
    ///
    /// # Errors
    /// [`HelloError`] if the runner has disconnected.
    pub async fn reject(self, rejection: Rejection) -> Result<(), HelloError> {
        let mut io = self.reply(&HelloReply::Rejected(rejection)).await?;
        with_timeout(async { Ok(io.shutdown().await?) }).await
    }

    /// Offers the runner this process's executable.
    ///
    /// # Errors
    /// [`HelloError`] if the runner has disconnected.
    pub async fn offer(self, offer: Offer) -> Result<CodeUpload, HelloError> {
        self.reply(&HelloReply::CodeOffered(offer)).await.map(CodeUpload::new)
    }

    async fn reply(mut self, reply: &HelloReply) -> Result<Io, HelloError> {
        let mut out = BytesMut::new();
        reply.encode_to(&mut out)?;
        write(&mut self.io, &out).await?;
        Ok(self.io)
    }
}

async fn read<T>(
    io: &mut Io,
    decode: impl Fn(&mut BytesMut) -> Result<Option<T>, DecodeError>,
) -> Result<(T, BytesMut), HelloError> {
    let mut input = BytesMut::new();
    read_into(&mut input, io, decode).await.map(|value| (value, input))
}
