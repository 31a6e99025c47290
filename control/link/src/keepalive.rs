//! Whether the peer is alive, as far as the socket can tell. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// Pings a silent peer, and gives it up when it stays silent.
#[derive(Debug)]
pub(crate) struct Keepalive {
    every: Duration,
    keepalive_timeout: Duration,
    heard: Instant,
    pinged: Instant,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Ping,
    Silent,
}

impl Keepalive {
    pub(crate) fn new(now: Instant, every: Duration, keepalive_timeout: Duration) -> Self {
        Self { every, keepalive_timeout, heard: now, pinged: now }
    }

    /// Something arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        if now >= self.heard + self.keepalive_timeout {
            return Some(Due::Silent);
        }
        if now >= self.next_ping() {
            self.pinged = now;
            return Some(Due::Ping);
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_ping().min(self.heard + self.keepalive_timeout)
    }

    fn next_ping(&self) -> Instant {
        self.heard.max(self.pinged) + self.every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let t = start();
        let mut keepalive = Keepalive::new(t, 20 * S, 60 * S);
        assert_eq!(keepalive.poll(t + 19 * S), None);
        assert_eq!(keepalive.poll(t + 20 * S), Some(Due::Ping));
        assert_eq!(keepalive.poll(t + 20 * S), None, "once an interval");
        assert_eq!(keepalive.poll(t + 40 * S), Some(Due::Ping));
        assert_eq!(keepalive.poll_timeout(), t + 60 * S);
        assert_eq!(keepalive.poll(t + 60 * S), Some(Due::Silent));
    }

    #[test]
    fn a_peer_that_answers_is_kept() {
        let t = start();
        let mut keepalive = Keepalive::new(t, 20 * S, 60 * S);
        for n in 1..100 {
            assert_ne!(keepalive.poll(t + n * 20 * S), Some(Due::Silent));
            keepalive.heard(t + n * 20 * S + S);
        }
    }
}
