//! Opening the streams of a link, and taking those that the peer has opened.

use std::any::Any;

use flame_wire::EncodeError;
use flame_wire::frame::StreamId;
use flame_wire::mux::Payload;

use crate::error::StreamError;
use crate::link::Link;
use crate::state::StreamEntry;
use crate::stream::Stream;

impl Link {
    /// Opens a stream with its first message, and `siblings` more streams beside it. `message`
    /// gets the id of the first stream, and those of the others. `guard` is dropped when both sides
    /// have ended the first stream, or when the link ends.
    ///
    /// # Errors
    /// [`StreamError`], also if `message` fails. Nothing was sent, and the guard has been dropped.
    pub fn open(
        &self,
        siblings: usize,
        guard: Option<Box<dyn Any + Send>>,
        message: impl FnOnce(StreamId, &[StreamId]) -> Result<(u8, Payload, bool), EncodeError>,
    ) -> Result<(Stream, Vec<Stream>), StreamError> {
        let (sent, stream, siblings) = {
            let mut state = self.shared().lock();
            state.check_open()?;
            let (id, siblings) = state.mux.open(siblings)?;
            let message = message(id, &siblings);
            for id in &siblings {
                state.streams.insert(*id, StreamEntry::default());
            }
            state.streams.insert(id, StreamEntry { guard, ..StreamEntry::default() });
            let siblings = siblings.into_iter().map(|id| self.stream(id)).collect();
            let sent = message
                .map_err(StreamError::from)
                .and_then(|(tag, payload, end)| Ok(state.mux.send(id, tag, payload, end)?));
            (sent, self.stream(id), siblings)
        };
        self.shared().wake_driver();
        // An error drops the handles, and that takes the lock, which must be free by then.
        sent?;
        Ok((stream, siblings))
    }

    /// Takes a stream that the peer opened beside another one, or `None` if it has ended already.
    #[must_use]
    pub fn claim(&self, id: StreamId) -> Option<Stream> {
        let mut state = self.shared().lock();
        if state.end.is_some() || !state.mux.claim(id) {
            return None;
        }
        state.streams.insert(id, StreamEntry::default());
        Some(self.stream(id))
    }

    pub(crate) fn stream(&self, id: StreamId) -> Stream {
        Stream::new(self.clone(), id)
    }
}
