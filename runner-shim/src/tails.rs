//! What the channels of a runner have accepted and not delivered when the runner leaves.
//!
//! ```text
//! Open ── the runner leaves ──▶ Closing ── its time is over ──▶ Cut
//!           channels accept       accepted messages                what is left is lost, and
//!           messages              go out                           the receivers are told so
//! ```

use tokio::sync::watch;

/// How far a runner has come in leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It stays: its channels accept messages.
    Open,
    /// What they have accepted is to go out.
    Closing,
    /// There is no time left for that.
    Cut,
}

/// All channels by which functions of a runner send.
#[derive(Debug)]
pub(crate) struct Tails(watch::Sender<Stage>);

impl Default for Tails {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Open))
    }
}

impl Tails {
    /// One more channel; it is held until all of it is delivered.
    pub(crate) fn tail(&self) -> Tail {
        Tail(Some(self.0.subscribe()))
    }

    /// Lets the channels accept no more messages, and waits until what they have accepted is on the
    /// link and arrives there even if nobody reads more. Cancel-safe.
    pub(crate) async fn delivered(&self) {
        self.advance(Stage::Closing);
        self.0.closed().await;
    }

    /// Gives up what is not delivered: each receiver finds an error in its place.
    pub(crate) async fn cut(&self) {
        self.advance(Stage::Cut);
        self.0.closed().await;
    }

    fn advance(&self, to: Stage) {
        self.0.send_modify(|stage| *stage = to.max(*stage));
    }
}

/// A channel's share in how its runner leaves.
#[derive(Debug)]
pub(crate) struct Tail(Option<watch::Receiver<Stage>>);

impl Tail {
    /// Of a channel that no runner has to deliver before it leaves.
    pub(crate) const NONE: Self = Self(None);

    /// Waits until the runner is beyond this stage, and gives the one that it has reached.
    /// Cancel-safe.
    pub(crate) async fn after(&mut self, stage: Stage) -> Stage {
        if let Some(reached) = &mut self.0
            && let Ok(now) = reached.wait_for(|now| *now > stage).await
        {
            return *now;
        }
        // The runner is gone, and its link with it: that ends the channel.
        std::future::pending().await
    }
}
