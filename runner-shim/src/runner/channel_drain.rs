//! Delivers the messages that a runner's channels have accepted before the runner ends.
//!
//! ```text
//! Open ── the runner ends ──▶ Draining ── out of time ──▶ Aborted
//!           channels accept     accepted messages           undelivered messages are lost,
//!           messages            are sent                    and their receivers get an error
//! ```

use tokio::sync::watch;

/// How far a runner is in draining its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChannelDrainStage {
    /// Channels accept messages.
    Open,
    /// Channels accept no more messages; the accepted ones are sent.
    Draining,
    /// The time for sending them is over.
    Aborted,
}

/// All channels on which functions of a runner send.
#[derive(Debug)]
pub(crate) struct ChannelDrain(watch::Sender<ChannelDrainStage>);

impl Default for ChannelDrain {
    fn default() -> Self {
        Self(watch::Sender::new(ChannelDrainStage::Open))
    }
}

impl ChannelDrain {
    /// Adds a channel. Its pump drops the handle when everything is delivered.
    pub(crate) fn register(&self) -> DrainHandle {
        DrainHandle(Some(self.0.subscribe()))
    }

    /// Makes the channels accept no more messages, and waits until the accepted ones are on the
    /// link and will arrive even if their receivers read no more. Cancel-safe.
    pub(crate) async fn drain(&self) {
        self.advance(ChannelDrainStage::Draining);
        self.0.closed().await;
    }

    /// Gives up the messages that are not delivered: each receiver gets an error in their place.
    pub(crate) async fn abort(&self) {
        self.advance(ChannelDrainStage::Aborted);
        self.0.closed().await;
    }

    fn advance(&self, to: ChannelDrainStage) {
        self.0.send_modify(|stage| *stage = to.max(*stage));
    }
}

/// One channel in a [`ChannelDrain`].
#[derive(Debug)]
pub(crate) struct DrainHandle(Option<watch::Receiver<ChannelDrainStage>>);

impl DrainHandle {
    /// For a channel that no runner has to drain.
    pub(crate) const NONE: Self = Self(None);

    /// Waits until the runner is past `stage`, and returns the stage that it has reached.
    /// Cancel-safe.
    pub(crate) async fn wait_past(&mut self, stage: ChannelDrainStage) -> ChannelDrainStage {
        if let Some(current) = &mut self.0
            && let Ok(now) = current.wait_for(|now| *now > stage).await
        {
            return *now;
        }
        // The runner is gone, and its link with it: that ends the channel.
        std::future::pending().await
    }
}
