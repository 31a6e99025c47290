//! The values that stay on this runner because the parent holds handles of them.

use std::collections::HashMap;

use flame_wire::sync::Mutex;

use crate::calling::{HeldId, HeldStore, HeldValue};

/// Held values by the stream of the call that returned them.
#[derive(Default)]
pub(super) struct HeldValues(Mutex<HashMap<u64, Vec<HeldValue>>>);

impl HeldValues {
    pub(super) fn add(&self, stream: u64, values: Vec<HeldValue>) {
        self.0.lock().insert(stream, values);
    }

    /// Called when the parent has dropped its last handle of that call. The values are returned, so
    /// that the caller drops them without the lock: their destructors are the app's code.
    pub(super) fn remove(&self, stream: u64) -> Option<Vec<HeldValue>> {
        self.0.lock().remove(&stream)
    }
}

impl HeldStore for HeldValues {
    fn find(&self, id: HeldId) -> Option<HeldValue> {
        let index = usize::try_from(id.index).ok()?;
        self.0.lock().get(&id.stream)?.get(index).cloned()
    }
}
