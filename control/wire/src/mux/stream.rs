//! The state of one stream.

use super::inbound::Inbound;
use super::outbound::{Announcement, Outbound};
use crate::frame::StreamId;

/// One stream. It ends when both directions have ended, and is forgotten when the app has no handle
/// on it either.
#[derive(Debug)]
pub(super) struct MuxStream {
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) phase: StreamPhase,
    pub(super) handle: AppHandle,
    /// Streams that this side opened together with this one. They may send once this stream's first
    /// message has left.
    pub(super) siblings: Vec<StreamId>,
    /// Streams that the peer opened together with this one. Those that the app has not claimed end
    /// with this one.
    pub(super) peer_siblings: Vec<StreamId>,
    /// The stream is in the queue of those that can send.
    pub(super) is_scheduled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPhase {
    /// The peer has opened the stream, and its first message is not complete.
    Opening,
    Open,
    /// This side has reset the stream.
    Reset,
    /// Both directions have ended, and the app has been told.
    Closed,
}

/// Whether the app has a handle on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppHandle {
    /// The peer opened the stream as a sibling, and the app has not claimed it yet.
    Unclaimed,
    Held,
    /// The app has no handle yet, or has dropped it.
    None,
}

/// The way in which a stream was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Control,
    /// This side.
    Local,
    /// This side, as a sibling of another stream.
    LocalSibling,
    Peer,
    /// The peer, as a sibling of another stream.
    PeerSibling,
}

impl MuxStream {
    pub(super) fn new(window: u32, origin: Origin) -> Self {
        let announcement = match origin {
            Origin::Local => Announcement::Pending,
            Origin::LocalSibling => Announcement::PendingSibling,
            Origin::Control | Origin::Peer | Origin::PeerSibling => Announcement::Done,
        };
        Self {
            outbound: Outbound::new(window, announcement),
            inbound: Inbound::new(window),
            phase: match origin {
                Origin::Peer => StreamPhase::Opening,
                _ => StreamPhase::Open,
            },
            handle: match origin {
                Origin::Local | Origin::LocalSibling => AppHandle::Held,
                Origin::PeerSibling => AppHandle::Unclaimed,
                Origin::Control | Origin::Peer => AppHandle::None,
            },
            siblings: Vec::new(),
            peer_siblings: Vec::new(),
            is_scheduled: false,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.handle == AppHandle::Held
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == StreamPhase::Closed
    }
}
