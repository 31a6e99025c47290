//! What waits to be written: bounded in bytes. Pure.
//!
//! ```text
//!  0 ─────────── LOW ─────────── HIGH ─────────────────── FULL
//!                 ▲ waiters go on  │ those that can wait do   │ lines are dropped
//! ```
//!
//! Those that can wait are slowed to the destination's pace, so that nothing is dropped where the
//! destination reads. Between HIGH and FULL is the room of those that can't wait. A wait is in vain
//! where the destination takes less than HIGH - LOW in the time that a waiter has; from then on
//! nobody waits until the queue is LOW.

use std::collections::VecDeque;

/// In bytes of text, with [`LINE_OVERHEAD`] for each line.
pub(super) const LOW: usize = 2 * 1024 * 1024;
pub(super) const HIGH: usize = 4 * 1024 * 1024;
pub(super) const FULL: usize = 16 * 1024 * 1024;
/// What a line costs beside its text.
pub(super) const LINE_OVERHEAD: usize = 128;
/// A queue that was full takes lines again from here on, so that one notice stands for many lines.
const RESUME: usize = FULL - FULL / 8;

pub(super) struct LineQueue<T> {
    waiting: VecDeque<(usize, QueuedItem<T>)>,
    size: usize,
    /// Lines dropped since the last notice.
    dropped: u64,
    dropping: bool,
    /// Somebody has waited in vain.
    wait_timed_out: bool,
    /// The queue was high, and has not been low since.
    was_high: bool,
    /// All that was ever queued, and all of that which has been written.
    queued: u64,
    written: u64,
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueuedItem<T> {
    Line(T),
    /// So many lines are missing here.
    Dropped(u64),
}

impl<T> LineQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            size: 0,
            dropped: 0,
            dropping: false,
            wait_timed_out: false,
            was_high: false,
            queued: 0,
            written: 0,
        }
    }

    /// Queues a line; or drops and counts it.
    pub(super) fn push(&mut self, len: usize, line: T) {
        let size = len.saturating_add(LINE_OVERHEAD);
        let limit = if self.dropping { RESUME } else { FULL };
        self.dropping = self.size.saturating_add(size) > limit;
        if self.dropping {
            self.dropped += 1;
            return;
        }
        self.tell_dropped();
        self.add(size, QueuedItem::Line(line));
    }

    /// Notices are small, and stand apart: they fit in also where the queue is full.
    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.add(LINE_OVERHEAD, QueuedItem::Dropped(dropped));
        }
    }

    fn add(&mut self, size: usize, item: QueuedItem<T>) {
        self.size += size;
        self.queued += 1;
        self.waiting.push_back((size, item));
    }

    pub(super) fn take(&mut self) -> Option<QueuedItem<T>> {
        if self.waiting.is_empty() {
            // Nobody pushes any more.
            self.tell_dropped();
        }
        let (size, item) = self.waiting.pop_front()?;
        self.size -= size;
        Some(item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }

    /// Whether all that was ever queued is written.
    pub(super) fn is_done(&self) -> bool {
        self.written == self.queued && self.dropped == 0
    }

    /// Whether those that can wait should.
    pub(super) fn is_high(&mut self) -> bool {
        self.was_high |= self.size >= HIGH;
        self.size >= HIGH && !self.wait_timed_out
    }

    pub(super) fn note_wait_timeout(&mut self) {
        self.wait_timed_out = self.size >= LOW;
    }

    /// Whether it is low, and was high before: true once.
    pub(super) fn has_become_low(&mut self) -> bool {
        let become_low = self.was_high && self.size < LOW;
        if become_low {
            self.was_high = false;
            self.wait_timed_out = false;
        }
        become_low
    }

    /// What must have been [`written`](Self::written) for all that is known by now to be written,
    /// the number of dropped lines included.
    pub(super) fn flush_target(&mut self) -> u64 {
        self.tell_dropped();
        self.queued
    }

    pub(super) fn note_written(&mut self, entries: u64) {
        self.written += entries;
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 1024 - LINE_OVERHEAD;

    fn filled(to: usize) -> LineQueue<usize> {
        let mut queue = LineQueue::new();
        (0..to / 1024).for_each(|number| queue.push(LEN, number));
        queue
    }

    fn drain(queue: &mut LineQueue<usize>) -> Vec<QueuedItem<usize>> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn lines_come_out_in_order_and_the_notice_where_lines_are_missing() {
        let mut queue = filled(FULL);
        queue.push(LEN, 1_000_000);
        queue.push(0, 1_000_001);
        let mut out = drain(&mut queue);
        assert_eq!(out.pop(), Some(QueuedItem::Dropped(2)));
        assert_eq!(out, (0..FULL / 1024).map(QueuedItem::Line).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_that_was_full_drops_until_there_is_some_room() {
        let mut queue = filled(FULL);
        queue.push(LEN, 1);
        queue.take();
        queue.push(LEN, 2);
        for _ in 0..(FULL - RESUME) / 1024 {
            queue.take();
        }
        queue.push(LEN, 3);
        queue.push(LEN, 4);
        let out = drain(&mut queue);
        let end = out.get(out.len() - 3..).unwrap();
        assert_eq!(end, [QueuedItem::Dropped(2), QueuedItem::Line(3), QueuedItem::Line(4)]);
    }

    #[test]
    fn empty_lines_fill_it_too() {
        let mut queue = LineQueue::new();
        (0..FULL).for_each(|number| queue.push(0, number));
        assert!(queue.waiting.len() <= FULL / LINE_OVERHEAD);
        assert_eq!(queue.dropped, (FULL - FULL / LINE_OVERHEAD) as u64);
    }

    #[test]
    fn a_line_of_any_length_is_bounded() {
        let mut queue = LineQueue::new();
        queue.push(usize::MAX, 1);
        queue.push(FULL + 1, 2);
        queue.push(1, 3);
        assert_eq!(drain(&mut queue), [QueuedItem::Dropped(2), QueuedItem::Line(3)]);
    }

    #[test]
    fn waiters_wait_from_high_to_low() {
        let mut queue = filled(HIGH - 1024);
        assert!(!queue.is_high());
        queue.push(LEN, 0);
        assert!(queue.is_high());
        while queue.size >= LOW {
            assert!(!queue.has_become_low());
            queue.take();
        }
        assert!(queue.has_become_low());
        assert!(!queue.has_become_low(), "it is told once");
        assert!(!queue.is_high());
    }

    #[test]
    fn after_a_wait_in_vain_nobody_waits_until_it_is_low() {
        let mut queue = filled(HIGH);
        assert!(queue.is_high());
        queue.note_wait_timeout();
        assert!(!queue.is_high());
        while !queue.has_become_low() {
            queue.take().unwrap();
        }
        (0..HIGH / 1024).for_each(|number| queue.push(LEN, number));
        assert!(queue.is_high());
    }

    #[test]
    fn a_wait_that_ends_as_the_queue_becomes_low_is_not_in_vain() {
        let mut queue = filled(HIGH);
        assert!(queue.is_high());
        while !queue.has_become_low() {
            queue.take().unwrap();
        }
        queue.note_wait_timeout();
        (0..HIGH / 1024).for_each(|number| queue.push(LEN, number));
        assert!(queue.is_high());
    }

    #[test]
    fn what_a_flush_waits_for_includes_the_notice() {
        let mut queue = filled(FULL);
        queue.push(LEN, 0);
        let all = queue.flush_target();
        let out = drain(&mut queue);
        assert_eq!(out.last(), Some(&QueuedItem::Dropped(1)));
        queue.note_written(out.len() as u64);
        assert_eq!(queue.written(), all);
    }
}
