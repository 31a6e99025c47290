//! The addresses of a runner's parent.

use std::sync::Arc;

use flame_wire::sync::Mutex;

/// The addresses of a runner's parent. All clones share one list.
#[derive(Clone, Default)]
pub(in super::super) struct ParentAddresses(Arc<Mutex<AddressList>>);

#[derive(Default)]
struct AddressList {
    /// The preferred one first.
    addresses: Vec<String>,
    /// The address at which the parent was reached last.
    last_connected: Option<String>,
}

impl ParentAddresses {
    /// A list of addresses, the preferred one first.
    pub(in super::super) fn new(addresses: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(AddressList { addresses, last_connected: None })))
    }

    /// The addresses in the order in which to try them: first the one at which the parent was
    /// reached last, then the others by preference.
    pub(in super::super) fn in_order(&self) -> Vec<String> {
        let list = self.0.lock();
        let mut addresses = list.addresses.clone();
        // The sort is stable.
        addresses.sort_by_key(|address| Some(address) != list.last_connected.as_ref());
        addresses
    }

    /// The parent was reached at this address.
    pub(super) fn connected_at(&self, address: String) {
        self.0.lock().last_connected = Some(address);
    }

    /// Replaces the list. The first of the new addresses is tried first, even if the parent was
    /// last reached at another one of them: a parent that sends a new list prefers its first
    /// address.
    pub(in super::super) fn replace(&self, addresses: Vec<String>) {
        *self.0.lock() = AddressList { addresses, last_connected: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|&address| address.to_owned()).collect()
    }

    #[test]
    fn the_address_that_worked_last_is_tried_first() {
        let addresses = ParentAddresses::new(list(&["ws://a", "ws://b", "ws://c"]));
        assert_eq!(addresses.in_order(), ["ws://a", "ws://b", "ws://c"]);
        addresses.connected_at("ws://c".to_owned());
        assert_eq!(addresses.in_order(), ["ws://c", "ws://a", "ws://b"]);
        addresses.connected_at("ws://b".to_owned());
        assert_eq!(addresses.in_order(), ["ws://b", "ws://a", "ws://c"]);
    }

    #[test]
    fn new_addresses_are_tried_in_their_own_order() {
        let addresses = ParentAddresses::new(list(&["ws://a", "ws://b"]));
        addresses.connected_at("ws://b".to_owned());
        let clone = addresses.clone();
        clone.replace(list(&["ws://c", "ws://b"]));
        assert_eq!(addresses.in_order(), ["ws://c", "ws://b"]);
    }
}
