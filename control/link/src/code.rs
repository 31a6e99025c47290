//! The transfer of an executable, after a hello that was answered with an offer: see
//! [`flame_wire::code`].
//!
//! Each step of it has 10 s, as those of the hello have. For all of them together there is no
//! limit here: whoever waits for them has one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flame_wire::code::{Offer, Wish};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::hello::{HelloError, patiently, read_on};
use crate::io::Io;

/// What is read, hashed and written at a time, in bytes.
const CHUNK: usize = 256 * 1024;
/// How long a runner that gives up waits for its parent to hear of it.
const LAST_WORD: Duration = Duration::from_secs(2);

/// The runner's part: what was offered, and the socket that it comes by.
#[derive(Debug)]
pub struct Offered {
    offer: Offer,
    left: u64,
    io: Io,
}

impl Offered {
    pub(crate) fn new(offer: Offer, io: Io) -> Self {
        Self { left: offer.len, offer, io }
    }

    /// What was offered.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Asks for it. The chunks come next.
    ///
    /// # Errors
    /// [`HelloError`]: the socket broke.
    pub async fn ask(&mut self) -> Result<(), HelloError> {
        say(&mut self.io, &Wish::Send).await
    }

    /// The next bytes, at most 256 KiB; `None` when as many came as were offered. Not cancel-safe:
    /// bytes that had come are lost with the future.
    ///
    /// # Errors
    /// [`HelloError`]: the socket broke, or nothing came for 10 s.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HelloError> {
        let len = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        if len == 0 {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(len);
        while chunk.len() < len {
            let mut rest = (&mut self.io).take((len - chunk.len()) as u64);
            let read = patiently(async { Ok(rest.read_buf(&mut chunk).await?) }).await?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        self.left -= chunk.len() as u64;
        Ok(Some(chunk.freeze()))
    }

    /// Tells the parent that this runner has the executable, and becomes it. If it then can't, it
    /// [may say so](Self::failed) as long as the socket stands.
    ///
    /// # Errors
    /// [`HelloError`]: the socket broke. The runner can become it all the same.
    pub async fn taken(&mut self) -> Result<(), HelloError> {
        say(&mut self.io, &Wish::Taken).await
    }

    /// Tells the parent why it does not become it, and waits up to 2 s for it to be heard.
    pub async fn failed(mut self, why: &str) {
        let heard = async {
            if say(&mut self.io, &Wish::Failed(why.to_owned())).await.is_ok() {
                // A socket that closes with bytes unread is reset, and the reason lost with it.
                let mut rest = vec![0; CHUNK];
                while self.io.read(&mut rest).await.is_ok_and(|len| len > 0) {}
            }
        };
        let _ = tokio::time::timeout(LAST_WORD, heard).await;
    }
}

/// Where a parent's executable is read.
pub trait Chunks: Send {
    /// The next bytes; `None` at their end. Those of all calls together are as many as were
    /// offered.
    fn next(&mut self) -> impl Future<Output = std::io::Result<Option<Bytes>>> + Send;
}

/// The parent's part: an offer that was made.
#[derive(Debug)]
pub struct Offering {
    io: Io,
}

/// An executable could not be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// It can't be read.
    #[error("the executable can't be read: {0}")]
    Source(#[source] std::io::Error),
    /// The runner is gone, or does not speak the protocol. It may dial again.
    #[error(transparent)]
    Runner(#[from] HelloError),
}

/// What became of an offer. A runner that has failed ends when this is dropped, or after 2 s.
#[derive(Debug)]
pub struct HandedOver {
    /// [`Wish::Taken`], or [`Wish::Failed`].
    pub outcome: Wish,
    _io: Io,
}

impl Offering {
    pub(crate) fn new(io: Io) -> Self {
        Self { io }
    }

    /// Sends the executable if the runner has it not. A runner may take its time to look into its
    /// cache: the caller limits it.
    ///
    /// # Errors
    /// [`OfferError`].
    pub async fn hand_over(mut self, chunks: impl Chunks) -> Result<HandedOver, OfferError> {
        let mut input = BytesMut::new();
        let wish = read_on(&mut self.io, &mut input, Wish::decode).await?;
        let outcome = match wish {
            Wish::Send => self.send_all(&mut input, chunks).await?,
            wish => last_word(&mut self.io, &mut input, wish).await,
        };
        Ok(HandedOver { outcome, _io: self.io })
    }

    async fn send_all(
        &mut self,
        input: &mut BytesMut,
        chunks: impl Chunks,
    ) -> Result<Wish, OfferError> {
        let (mut from, mut to) = tokio::io::split(&mut self.io);
        let heard = async {
            let wish = read_on(&mut from, input, Wish::decode).await?;
            Ok(last_word(&mut from, input, wish).await)
        };
        tokio::pin!(heard);
        // A runner whose disk is full says so long before it has all.
        let sent = tokio::select! {
            biased;
            outcome = &mut heard => return outcome,
            sent = send(&mut to, chunks) => sent,
        };
        match sent {
            Ok(()) => heard.await,
            Err(error @ OfferError::Source(_)) => Err(error),
            // Its reason may have come before its end.
            Err(error) => patiently(async { Ok(heard.await) }).await?.map_err(|_| error),
        }
    }
}

/// What a runner said; or, if it then could not become what it had taken, that.
async fn last_word(from: &mut (impl AsyncRead + Unpin), input: &mut BytesMut, said: Wish) -> Wish {
    if said != Wish::Taken {
        return said;
    }
    // The socket ends when it becomes another program.
    match read_on(from, input, Wish::decode).await {
        Ok(failed @ Wish::Failed(_)) => failed,
        _ => said,
    }
}

async fn send(
    to: &mut (impl AsyncWrite + Unpin),
    mut chunks: impl Chunks,
) -> Result<(), OfferError> {
    while let Some(chunk) = chunks.next().await.map_err(OfferError::Source)? {
        patiently(async { Ok(to.write_all(&chunk).await?) }).await?;
    }
    Ok(patiently(async { Ok(to.flush().await?) }).await?)
}

async fn say(io: &mut Io, wish: &Wish) -> Result<(), HelloError> {
    let mut out = BytesMut::new();
    wish.encode_to(&mut out)?;
    patiently(async {
        io.write_all(&out).await?;
        Ok(io.flush().await?)
    })
    .await
}

#[cfg(test)]
mod tests {
    use flame_wire::code::CodeHash;
    use flame_wire::ids::BuildId;

    use super::*;
    use crate::io::in_memory;

    struct Zeros {
        left: u64,
        breaks_at: Option<u64>,
    }

    impl Chunks for Zeros {
        async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
            if self.breaks_at.is_some_and(|at| self.left <= at) {
                return Err(std::io::Error::other("the disk is gone"));
            }
            let len = self.left.min(100_000);
            self.left -= len;
            Ok((len > 0).then(|| Bytes::from(vec![0; len as usize])))
        }
    }

    fn zeros(len: u64) -> Zeros {
        Zeros { left: len, breaks_at: None }
    }

    fn ends(len: u64) -> (Offering, Offered) {
        let offer = Offer {
            build: BuildId::new("b"),
            len,
            hash: CodeHash([0; 32]),
            target: "here".to_owned(),
        };
        let (ours, theirs) = in_memory();
        (Offering::new(ours), Offered::new(offer, theirs))
    }

    fn hands_over(
        offering: Offering,
        chunks: Zeros,
    ) -> tokio::task::JoinHandle<Result<Wish, OfferError>> {
        let handed = async { Ok(offering.hand_over(chunks).await?.outcome) };
        tokio::spawn(handed)
    }

    #[tokio::test]
    async fn as_many_bytes_come_as_were_offered_in_pieces() {
        for len in [0, 1, CHUNK as u64, 3_000_000] {
            let (offering, mut offered) = ends(len);
            let parent = hands_over(offering, zeros(len));
            offered.ask().await.unwrap();
            let mut came = 0;
            while let Some(chunk) = offered.chunk().await.unwrap() {
                assert!((1..=CHUNK).contains(&chunk.len()));
                came += chunk.len() as u64;
            }
            assert_eq!(came, len);
            offered.taken().await.unwrap();
            drop(offered);
            assert_eq!(parent.await.unwrap().unwrap(), Wish::Taken);
        }
    }

    #[tokio::test]
    async fn a_runner_that_could_not_become_what_it_had_taken_is_heard() {
        for fetches in [false, true] {
            let (offering, mut offered) = ends(3);
            let parent = hands_over(offering, zeros(3));
            if fetches {
                offered.ask().await.unwrap();
                offered.chunk().await.unwrap();
            }
            offered.taken().await.unwrap();
            offered.failed("no such loader").await;
            let outcome = parent.await.unwrap().unwrap();
            assert_eq!(outcome, Wish::Failed("no such loader".to_owned()));
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_runner_that_has_it() {
        let (offering, mut offered) = ends(3_000_000);
        let parent = hands_over(offering, Zeros { left: 1, breaks_at: Some(1) });
        offered.taken().await.unwrap();
        drop(offered);
        assert_eq!(parent.await.unwrap().unwrap(), Wish::Taken);
    }

    #[tokio::test]
    async fn a_runner_that_fails_in_the_middle_is_heard_although_it_reads_no_more() {
        let (offering, mut offered) = ends(30_000_000);
        let parent = hands_over(offering, zeros(30_000_000));
        offered.ask().await.unwrap();
        offered.chunk().await.unwrap();
        offered.failed("the disk is full").await;
        let outcome = parent.await.unwrap().unwrap();
        assert_eq!(outcome, Wish::Failed("the disk is full".to_owned()));
    }

    #[tokio::test]
    async fn a_socket_that_ends_in_the_middle_is_an_error_on_both_sides() {
        let (offering, mut offered) = ends(3_000_000);
        let parent = hands_over(offering, zeros(3_000_000));
        offered.ask().await.unwrap();
        offered.chunk().await.unwrap();
        drop(offered);
        assert!(matches!(parent.await.unwrap(), Err(OfferError::Runner(_))));

        let (offering, mut offered) = ends(3_000_000);
        let parent = hands_over(offering, zeros(1_000_000));
        offered.ask().await.unwrap();
        for _ in 0..3 {
            offered.chunk().await.unwrap();
        }
        parent.abort();
        let _ = parent.await;
        assert!(matches!(offered.chunk().await, Err(HelloError::Io(_))));
    }

    #[tokio::test]
    async fn an_executable_that_can_not_be_read_is_the_parents_error() {
        let (offering, mut offered) = ends(3_000_000);
        let broken = Zeros { left: 3_000_000, breaks_at: Some(1_000_000) };
        let parent = hands_over(offering, broken);
        offered.ask().await.unwrap();
        while offered.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
        assert!(matches!(parent.await.unwrap(), Err(OfferError::Source(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_parent_that_says_nothing_is_waited_for_so_long() {
        let (_offering, mut offered) = ends(1);
        offered.ask().await.unwrap();
        assert!(matches!(offered.chunk().await, Err(HelloError::Timeout)));
    }
}
