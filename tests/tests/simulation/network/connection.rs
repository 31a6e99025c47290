//! A connection: its two ends, and the packets between them.

use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{CELL, ConnectionId, NetworkConfig, Time};

pub(super) struct Packet {
    pub(super) connection: ConnectionId,
    pub(super) to: Side,
    pub(super) payload: Payload,
}

pub(super) enum Payload {
    Open,
    Opened,
    Data(Bytes),
    Window(usize),
    Finish,
    Reset,
}

/// The end of a connection that a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

pub(super) struct Connection {
    pub(super) client: End,
    pub(super) server: End,
}

/// One end of a connection.
pub(super) struct End {
    pub(super) address: SocketAddr,
    pub(super) is_open: bool,
    /// The process has closed it, or has never had it.
    pub(super) is_closed: bool,
    pub(super) has_finished: bool,
    pub(super) is_reset: bool,
    pub(super) received: BytesMut,
    pub(super) peer_has_finished: bool,
    /// How many bytes were read since the peer was told.
    pub(super) read: usize,
    /// How many bytes may be sent.
    pub(super) window: usize,
    /// Packets that this end sends vanish.
    pub(super) is_forgotten: bool,
    pub(super) garbling: Garbling,
    /// When the last packet that this end has sent arrives.
    pub(super) last_arrival: Time,
    /// When the last byte that this end has sent is on its way.
    pub(super) sent_at: Time,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// Which of the bytes that an end sends arrive as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbling {
    None,
    /// Half of the next packet, and all bytes after it.
    Next,
    All,
}

impl Garbling {
    pub(super) fn next(self) -> Self {
        if self == Garbling::None { Garbling::None } else { Garbling::All }
    }
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

impl Payload {
    pub(super) fn cells(&self) -> u32 {
        match self {
            Payload::Data(bytes) => bytes.len().div_ceil(CELL) as u32,
            _ => 0,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Payload::Open => "open",
            Payload::Opened => "opened",
            Payload::Data(_) => "data",
            Payload::Window(_) => "window",
            Payload::Finish => "finish",
            Payload::Reset => "reset",
        }
    }
}

impl Connection {
    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl End {
    pub(super) fn new(address: SocketAddr, config: &NetworkConfig) -> Self {
        Self {
            address,
            is_open: false,
            is_closed: false,
            has_finished: false,
            is_reset: false,
            received: BytesMut::new(),
            peer_has_finished: false,
            read: 0,
            window: config.window,
            is_forgotten: false,
            garbling: Garbling::None,
            last_arrival: Duration::ZERO,
            sent_at: Duration::ZERO,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.received.clear();
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}
