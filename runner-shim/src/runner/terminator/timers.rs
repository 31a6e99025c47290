//! The timers of a terminator: one slot each, empty while the timer is not set.

use std::time::Instant;

/// The timers of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Gives up on a parent that was never reached.
    Failsafe,
    /// Gives up on a parent whose connection was lost.
    Reconnect,
    /// Ends a drain, and the work that is still running.
    Shutdown,
    /// Begins the drain that has to be over by the host's deadline.
    HostDeadline,
    /// Begins the drain at the end of the runner's lifetime.
    Lifetime,
    /// Asks whether the idle runner may end.
    Idle,
}

impl Timer {
    const COUNT: usize = Self::Idle as usize + 1;
}

/// When each timer is due.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::COUNT]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, due: Option<Instant>) {
        self.0[timer as usize] = due;
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    pub(super) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.get(timer).is_some_and(|due| due <= now)
    }

    /// Whether the timer is due; if so, it is stopped.
    pub(super) fn expire(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.is_due(timer, now);
        if due {
            self.stop(timer);
        }
        due
    }
}
