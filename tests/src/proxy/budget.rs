//! How many bytes may pass on a connection before something happens to it.

use std::sync::Mutex;

use rand::Rng;

use super::{Network, ProxyState};

/// The fault of a connection whose budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is cut.
    Cut,
    /// Random bytes are inserted. It has no budget afterwards.
    Garbage,
}

/// How many bytes may still pass on one connection. It is drawn anew when the network changes.
pub(super) struct Budget<'a> {
    state: &'a ProxyState,
    left: Mutex<Option<Left>>,
}

struct Left {
    /// The number of the network's change for which it was drawn.
    change: u64,
    bytes: u64,
    fault: Option<Fault>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(state: &'a ProxyState) -> Self {
        Self { state, left: Mutex::default() }
    }

    /// Takes up to `len` bytes from the budget. Returns how many may pass, and what happens then if
    /// the budget is spent.
    pub(super) fn take(&self, len: usize) -> (usize, Option<Fault>) {
        let mut left = self.left.lock().expect("nothing panics with the lock");
        let now = self.state.network.borrow();
        let (change, network) = &*now;
        let left = match &mut *left {
            Some(left) if left.change == *change => left,
            left => left.insert(self.draw(*change, network)),
        };
        let allowed = usize::try_from(left.bytes).unwrap_or(usize::MAX).min(len);
        left.bytes -= allowed as u64;
        if allowed == len {
            return (len, None);
        }
        if left.fault == Some(Fault::Garbage) {
            left.bytes = u64::MAX;
        }
        (allowed, left.fault)
    }

    fn draw(&self, change: u64, network: &Network) -> Left {
        let (range, fault) = match network {
            Network::Cuts(range) => (range, Fault::Cut),
            Network::Garbage(range) => (range, Fault::Garbage),
            _ => return Left { change, bytes: u64::MAX, fault: None },
        };
        let bytes = self.state.random().random_range(range.clone());
        Left { change, bytes, fault: Some(fault) }
    }
}
