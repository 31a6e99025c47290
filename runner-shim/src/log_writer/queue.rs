//! The lines that wait to be written, bounded in bytes. Pure.
//!
//! ```text
//!  0 ─────────── LOW ─────────── HIGH ─────────────────── FULL
//!                 ▲ waits end      │ callers that can wait do │ lines are dropped
//! ```
//!
//! Callers that can wait are slowed down to the destination's pace, so that no line is dropped
//! while the destination is being read. The space between HIGH and FULL is for callers that can't
//! wait. A wait times out if the destination takes less than HIGH - LOW in the longest waiting
//! time; from then on nobody waits until the queue is below LOW.

use std::collections::VecDeque;

/// In bytes: the text, and [`LINE_OVERHEAD`] for each line.
pub(super) const LOW: usize = 2 * 1024 * 1024;
pub(super) const HIGH: usize = 4 * 1024 * 1024;
pub(super) const FULL: usize = 16 * 1024 * 1024;
/// The memory that a line takes in addition to its text.
pub(super) const LINE_OVERHEAD: usize = 256;
/// A queue that was full accepts lines again below this size, so that one notice covers many lines.
const RESUME: usize = FULL - FULL / 8;

pub(super) struct LineQueue<T> {
    waiting: VecDeque<(usize, QueuedItem<T>)>,
    size: usize,
    /// Lines dropped since the last notice.
    dropped: u64,
    dropping: bool,
    /// A wait has timed out.
    wait_timed_out: bool,
    /// The queue was high, and has not been low since.
    was_high: bool,
    /// All items ever queued, and how many of them have been written.
    queued: u64,
    written: u64,
}

/// The next item to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueuedItem<T> {
    Line(T),
    /// This many lines are missing here.
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

    /// Queues a line, or drops and counts it. Returns whether it is queued.
    pub(super) fn push(&mut self, len: usize, line: T) -> bool {
        let size = len.saturating_add(LINE_OVERHEAD);
        let limit = if self.dropping { RESUME } else { FULL };
        self.dropping = self.size.saturating_add(size) > limit;
        if self.dropping {
            self.dropped += 1;
            return false;
        }
        self.queue_drop_notice();
        self.add(size, QueuedItem::Line(line));
        true
    }

    /// Queues the notice, if lines were dropped. It is small, so it fits even into a full queue.
    fn queue_drop_notice(&mut self) {
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
            // No push will queue the notice.
            self.queue_drop_notice();
        }
        let (size, item) = self.waiting.pop_front()?;
        self.size -= size;
        Some(item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }

    /// Whether everything ever queued has been written.
    pub(super) fn is_done(&self) -> bool {
        self.written == self.queued && self.dropped == 0
    }

    /// Whether callers that can wait should wait.
    pub(super) fn is_high(&mut self) -> bool {
        self.was_high |= self.size >= HIGH;
        self.size >= HIGH && !self.wait_timed_out
    }

    pub(super) fn note_wait_timeout(&mut self) {
        self.wait_timed_out = self.size >= LOW;
    }

    /// Whether the queue is low after it was high. True once.
    pub(super) fn has_become_low(&mut self) -> bool {
        let become_low = self.was_high && self.size < LOW;
        if become_low {
            self.was_high = false;
            self.wait_timed_out = false;
        }
        become_low
    }

    /// The value of [`written`](Self::written) at which everything known so far has been written,
    /// the number of dropped lines included.
    pub(super) fn flush_target(&mut self) -> u64 {
        self.queue_drop_notice();
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
        (0..to / 1024).for_each(|number| assert!(queue.push(LEN, number)));
        queue
    }

    fn drain(queue: &mut LineQueue<usize>) -> Vec<QueuedItem<usize>> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn lines_come_out_in_order_with_a_notice_where_lines_are_missing() {
        let mut queue = filled(FULL);
        assert!(!queue.push(LEN, 1_000_000));
        assert!(!queue.push(0, 1_000_001));
        let mut out = drain(&mut queue);
        assert_eq!(out.pop(), Some(QueuedItem::Dropped(2)));
        assert_eq!(out, (0..FULL / 1024).map(QueuedItem::Line).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_that_was_full_drops_lines_until_there_is_some_room() {
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
    fn empty_lines_fill_the_queue_too() {
        let mut queue = LineQueue::new();
        let queued = (0..FULL).filter(|number| queue.push(0, *number)).count();
        assert_eq!(queued, queue.waiting.len());
        assert!(queue.waiting.len() <= FULL / LINE_OVERHEAD);
        assert_eq!(queue.dropped, (FULL - FULL / LINE_OVERHEAD) as u64);
    }

    #[test]
    fn a_line_that_is_larger_than_the_queue_is_dropped() {
        let mut queue = LineQueue::new();
        queue.push(usize::MAX, 1);
        queue.push(FULL + 1, 2);
        queue.push(1, 3);
        assert_eq!(drain(&mut queue), [QueuedItem::Dropped(2), QueuedItem::Line(3)]);
    }

    #[test]
    fn callers_wait_from_high_to_low() {
        let mut queue = filled(HIGH - 1024);
        assert!(!queue.is_high());
        queue.push(LEN, 0);
        assert!(queue.is_high());
        while queue.size >= LOW {
            assert!(!queue.has_become_low());
            queue.take();
        }
        assert!(queue.has_become_low());
        assert!(!queue.has_become_low(), "it is reported once");
        assert!(!queue.is_high());
    }

    #[test]
    fn after_a_timeout_nobody_waits_until_the_queue_is_low() {
        let mut queue = filled(HIGH);
        assert!(queue.is_high());
        queue.note_wait_timeout();
        assert!(!queue.is_high());
        while !queue.has_become_low() {
            queue.take().unwrap();
        }
        (0..HIGH / 1024).for_each(|number| assert!(queue.push(LEN, number)));
        assert!(queue.is_high());
    }

    #[test]
    fn a_wait_that_times_out_just_as_the_queue_becomes_low_has_no_effect() {
        let mut queue = filled(HIGH);
        assert!(queue.is_high());
        while !queue.has_become_low() {
            queue.take().unwrap();
        }
        queue.note_wait_timeout();
        (0..HIGH / 1024).for_each(|number| assert!(queue.push(LEN, number)));
        assert!(queue.is_high());
    }

    #[test]
    fn a_flush_also_waits_for_the_notice() {
        let mut queue = filled(FULL);
        queue.push(LEN, 0);
        let all = queue.flush_target();
        let out = drain(&mut queue);
        assert_eq!(out.last(), Some(&QueuedItem::Dropped(1)));
        queue.note_written(out.len() as u64);
        assert_eq!(queue.written(), all);
    }
}
