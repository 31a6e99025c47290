//! The first words on each socket: who dials, by what right, and what the parent says to it.

use std::time::Duration;

use bytes::BytesMut;
use flame_wire::code::Offer;
use flame_wire::error::{DecodeError, EncodeError};
use flame_wire::hello::{Answer, Hello, Refusal};
use flame_wire::token::Token;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::code::{Offered, Offering};
use crate::io::Io;

/// How long either side waits for the other's word.
const PATIENCE: Duration = Duration::from_secs(10);

/// The two did not come to terms.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The parent says no, and why.
    #[error("the parent refused this runner: {0}")]
    Refused(Refusal),
    /// What came is no hello, or no answer.
    #[error("the other side does not speak this protocol")]
    Garbage(#[from] DecodeError),
    /// What this side would say is too long.
    #[error("the hello can't be written")]
    Encode(#[from] EncodeError),
    /// The socket broke.
    #[error("the connection broke during the hello")]
    Io(#[from] std::io::Error),
    /// No word within 10 s.
    #[error("no word from the other side within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// What a runner's hello led to.
#[derive(Debug)]
pub enum Greeted {
    /// It is let in: the socket, and the key to resume by.
    In(Io, Token),
    /// It is of another build, and may become its parent's executable.
    Offered(Offered),
}

/// The runner's part: says hello.
///
/// # Errors
/// [`HelloError`]; after [`HelloError::Refused`] dialling again is of no use.
pub async fn greet(mut io: Io, hello: &Hello) -> Result<Greeted, HelloError> {
    let mut out = BytesMut::new();
    hello.encode_to(&mut out)?;
    let (answer, early) = patiently(async {
        io.write_all(&out).await?;
        io.flush().await?;
        read(&mut io, Answer::decode).await
    })
    .await?;
    match answer {
        Answer::Welcome { resume } => Ok(Greeted::In(io.with_early(early), resume)),
        Answer::Offered(offer) => Ok(Greeted::Offered(Offered::new(offer, io.with_early(early)))),
        Answer::Refused(refusal) => Err(HelloError::Refused(refusal)),
    }
}

/// The parent's part: a runner that has said hello and waits for the answer.
#[derive(Debug)]
pub struct Greeting {
    /// What it said.
    pub hello: Hello,
    io: Io,
}

impl Greeting {
    /// Reads the hello of whoever dialled.
    ///
    /// # Errors
    /// [`HelloError`].
    pub async fn read(mut io: Io) -> Result<Self, HelloError> {
        match patiently(read(&mut io, Hello::decode)).await {
            Ok((hello, early)) => Ok(Self { hello, io: io.with_early(early) }),
            Err(HelloError::Garbage(error)) => {
                // Told why, it can log it; that it does not listen is its own affair.
                let mut out = BytesMut::new();
                if Answer::Refused(error.clone().into()).encode_to(&mut out).is_ok() {
                    let _ = patiently(async { Ok(io.write_all(&out).await?) }).await;
                    let _ = patiently(async { Ok(io.shutdown().await?) }).await;
                }
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Lets it in; `resume` is what it must show to come back on another socket.
    ///
    /// # Errors
    /// [`HelloError`]: it has gone meanwhile.
    pub async fn welcome(self, resume: Token) -> Result<Io, HelloError> {
        self.answer(&Answer::Welcome { resume }).await
    }

    /// Sends it away.
    ///
    /// # Errors
    /// [`HelloError`]: it has gone meanwhile.
    pub async fn refuse(self, refusal: Refusal) -> Result<(), HelloError> {
        let mut io = self.answer(&Answer::Refused(refusal)).await?;
        patiently(async { Ok(io.shutdown().await?) }).await
    }

    /// Offers it this process's executable.
    ///
    /// # Errors
    /// [`HelloError`]: it has gone meanwhile.
    pub async fn offer(self, offer: Offer) -> Result<Offering, HelloError> {
        self.answer(&Answer::Offered(offer)).await.map(Offering::new)
    }

    async fn answer(mut self, answer: &Answer) -> Result<Io, HelloError> {
        let mut out = BytesMut::new();
        answer.encode_to(&mut out)?;
        patiently(async {
            self.io.write_all(&out).await?;
            Ok(self.io.flush().await?)
        })
        .await?;
        Ok(self.io)
    }
}

async fn read<T>(
    io: &mut Io,
    decode: impl Fn(&mut BytesMut) -> Result<Option<T>, DecodeError>,
) -> Result<(T, BytesMut), HelloError> {
    let mut input = BytesMut::new();
    read_on(io, &mut input, decode).await.map(|value| (value, input))
}

/// The same, where some of it may have come already.
pub(crate) async fn read_on<T>(
    io: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
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

pub(crate) async fn patiently<T>(
    step: impl Future<Output = Result<T, HelloError>>,
) -> Result<T, HelloError> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| HelloError::Timeout)?
}
