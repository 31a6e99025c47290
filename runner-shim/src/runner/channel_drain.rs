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
pub(crate) enum DrainStage {
    /// It stays: its channels accept messages.
    Open,
    /// What they have accepted is to go out.
    Draining,
    /// There is no time left for that.
    Aborted,
}

/// All channels by which functions of a runner send.
#[derive(Debug)]
pub(crate) struct ChannelDrain(watch::Sender<DrainStage>);

impl Default for ChannelDrain {
    fn default() -> Self {
        Self(watch::Sender::new(DrainStage::Open))
    }
}

impl ChannelDrain {
    /// One more channel; it is held until all of it is delivered.
    pub(crate) fn register(&self) -> DrainHandle {
        DrainHandle(Some(self.0.subscribe()))
    }

    /// Lets the channels accept no more messages, and waits until what they have accepted is on the
    /// link and arrives there even if nobody reads more. Cancel-safe.
    pub(crate) async fn drain(&self) {
        self.advance(DrainStage::Draining);
        self.0.closed().await;
    }

    /// Gives up what is not delivered: each receiver finds an error in its place.
    pub(crate) async fn abort(&self) {
        self.advance(DrainStage::Aborted);
        self.0.closed().await;
    }

    fn advance(&self, to: DrainStage) {
        self.0.send_modify(|stage| *stage = to.max(*stage));
    }
}

/// A channel's share in how its runner leaves.
#[derive(Debug)]
pub(crate) struct DrainHandle(Option<watch::Receiver<DrainStage>>);

impl DrainHandle {
    /// Of a channel that no runner has to deliver before it leaves.
    pub(crate) const NONE: Self = Self(None);

    /// Waits until the runner is beyond this stage, and gives the one that it has reached.
    /// Cancel-safe.
    pub(crate) async fn wait_past(&mut self, stage: DrainStage) -> DrainStage {
        if let Some(reached) = &mut self.0
            && let Ok(now) = reached.wait_for(|now| *now > stage).await
        {
            return *now;
        }
        // The runner is gone, and its link with it: that ends the channel.
        std::future::pending().await
    }
}
