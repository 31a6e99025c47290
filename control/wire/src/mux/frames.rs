//! The frames that a mux sends and receives.

use super::stream::{MuxStream, Origin, StreamPhase};
use super::{Mux, MuxEvent, MuxViolation};
use crate::frame::{DataFrame, Frame, StreamId};

impl Mux {
    /// The next frame for the session.
    #[must_use = "a frame that was polled must be sent"]
    pub fn poll_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.urgent.pop_front() {
            return Some(frame);
        }
        while let Some(id) = self.ready.pop_front() {
            if let Some(data) = self.poll_data(id) {
                return Some(Frame::Data(data));
            }
        }
        None
    }

    fn poll_data(&mut self, id: StreamId) -> Option<DataFrame> {
        let stream = self.streams.get_mut(&id)?;
        stream.is_scheduled = false;
        let siblings = (!stream.outbound.is_announced()).then(|| stream.siblings.clone());
        let opens = siblings.map(|siblings| self.announce(siblings));
        let stream = self.streams.get_mut(&id)?;
        let data = stream.outbound.poll(id, opens)?;
        if stream.outbound.became_writable() {
            self.events.push_back(MuxEvent::Writable(id));
        }
        if stream.outbound.is_flushed() {
            for sibling in std::mem::take(&mut stream.siblings) {
                if let Some(stream) = self.streams.get_mut(&sibling) {
                    stream.outbound.uncork();
                    self.schedule(sibling);
                }
            }
        }
        self.schedule(id);
        if data.end {
            self.close_if_ended(id);
        }
        Some(data)
    }

    /// The peer is about to learn of these siblings. Those that have been closed are left out.
    fn announce(&mut self, mut siblings: Vec<StreamId>) -> Vec<StreamId> {
        siblings.retain(|id| {
            self.streams.get_mut(id).is_some_and(|stream| {
                stream.outbound.set_announced();
                !stream.is_closed()
            })
        });
        siblings
    }

    /// Handles a frame from the session.
    ///
    /// # Errors
    /// [`MuxViolation`]: end the link.
    pub fn handle_frame(&mut self, frame: Frame) -> Result<(), MuxViolation> {
        match frame {
            Frame::Data(data) => return self.handle_data(data),
            Frame::Credit { stream, bytes, messages } => {
                self.handle_credit(stream, bytes, messages)
            }
            Frame::Reset { stream } => self.handle_reset(stream),
        }
        Ok(())
    }

    fn handle_data(&mut self, mut data: DataFrame) -> Result<(), MuxViolation> {
        let id = data.stream;
        if let Some(siblings) = data.opens.take() {
            self.accept(id, Origin::Peer)?;
            for sibling in &siblings {
                self.accept(*sibling, Origin::PeerSibling)?;
            }
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.peer_siblings = siblings;
            }
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if stream.inbound.push(data, self.config.max_message)? {
            self.events.push_back(if stream.phase == StreamPhase::Opening {
                stream.phase = StreamPhase::Open;
                MuxEvent::Opened(id)
            } else {
                MuxEvent::Readable(id)
            });
        }
        self.return_credit(id);
        self.close_if_ended(id);
        self.give_up_if_due(id);
        Ok(())
    }

    fn handle_credit(&mut self, id: StreamId, bytes: u32, messages: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.outbound.add_credit(bytes, messages);
            if stream.outbound.became_writable() {
                self.events.push_back(MuxEvent::Writable(id));
            }
            self.schedule(id);
        }
    }

    fn handle_reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if id == StreamId::CONTROL {
            return;
        }
        stream.inbound.end();
        let was_ending = stream.outbound.handle_reset();
        let is_held = stream.is_held();
        if is_held {
            self.events.push_back(MuxEvent::Reset(id));
        }
        // If the app has no handle, it will never send a last message.
        if was_ending || !is_held {
            self.give_up(id);
        } else {
            self.close_if_ended(id);
        }
    }

    fn accept(&mut self, id: StreamId, origin: Origin) -> Result<(), MuxViolation> {
        if id.0 == 0 || id.0 % 2 == self.next_id % 2 || self.streams.contains_key(&id) {
            return Err(MuxViolation::Number(id));
        }
        if self.opened_by_peer >= self.config.max_streams {
            return Err(MuxViolation::Streams(self.config.max_streams));
        }
        self.opened_by_peer += 1;
        self.streams.insert(id, MuxStream::new(self.config.window, origin));
        Ok(())
    }
}
