//! The bytes of a message on its way out.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// The bytes of a message, in parts, so that large parts need not be copied together.
#[derive(Debug, Default, Clone)]
pub struct Payload {
    first: Bytes,
    rest: VecDeque<Bytes>,
}

impl Payload {
    /// A payload of `head`, followed by `parts`.
    pub fn new(head: Bytes, parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self { first: head, rest: parts.into_iter().collect() }
    }

    /// The length of all parts together, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        std::iter::once(&self.first).chain(&self.rest).map(|part| part.len() as u64).sum()
    }

    /// Whether the payload has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes at most `max` bytes off the front, all from one part.
    pub(super) fn split_front(&mut self, max: usize) -> Bytes {
        while self.first.is_empty() {
            let Some(part) = self.rest.pop_front() else { return Bytes::new() };
            self.first = part;
        }
        self.first.split_to(self.first.remaining().min(max))
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        Self { first, rest: VecDeque::new() }
    }
}
