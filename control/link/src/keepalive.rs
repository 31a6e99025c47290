//! Finds out whether the peer of a socket is alive. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// Pings a silent peer, and declares it lost if it stays silent.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    last_received: Instant,
    last_pinged: Instant,
}

/// The next step of the driver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeepaliveAction {
    /// Send a ping.
    Ping,
    /// Give the socket up: the peer has been silent for too long.
    GiveUp,
}

impl Keepalive {
    pub(crate) fn new(now: Instant, interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, last_received: now, last_pinged: now }
    }

    /// Bytes have arrived from the peer.
    pub(crate) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<KeepaliveAction> {
        if now >= self.last_received + self.timeout {
            return Some(KeepaliveAction::GiveUp);
        }
        if now >= self.next_ping() {
            self.last_pinged = now;
            return Some(KeepaliveAction::Ping);
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_ping().min(self.last_received + self.timeout)
    }

    fn next_ping(&self) -> Instant {
        self.last_received.max(self.last_pinged) + self.interval
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
        assert_eq!(keepalive.poll(t + 20 * S), Some(KeepaliveAction::Ping));
        assert_eq!(keepalive.poll(t + 20 * S), None, "one ping an interval");
        assert_eq!(keepalive.poll(t + 40 * S), Some(KeepaliveAction::Ping));
        assert_eq!(keepalive.poll_timeout(), t + 60 * S);
        assert_eq!(keepalive.poll(t + 60 * S), Some(KeepaliveAction::GiveUp));
    }

    #[test]
    fn a_peer_that_answers_is_never_given_up() {
        let t = start();
        let mut keepalive = Keepalive::new(t, 20 * S, 60 * S);
        for n in 1..100 {
            assert_ne!(keepalive.poll(t + n * 20 * S), Some(KeepaliveAction::GiveUp));
            keepalive.received(t + n * 20 * S + S);
        }
    }
}
