//! The values that live on this runner because the parent holds a handle on them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::calling::{HeldId, HeldStore, HeldValue};

/// Held values by the stream of the call that gave them.
#[derive(Default)]
pub(crate) struct HeldValues {
    values: Mutex<HashMap<u64, Vec<HeldValue>>>,
}

impl HeldValues {
    pub(crate) fn add(&self, stream: u64, values: Vec<HeldValue>) {
        self.lock().insert(stream, values);
    }

    /// The parent has dropped its last handle of that call. The values are dropped by the caller
    /// of this, without the lock: their destructors are the app's.
    pub(crate) fn remove(&self, stream: u64) -> Option<Vec<HeldValue>> {
        self.lock().remove(&stream)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<HeldValue>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldStore for HeldValues {
    fn find(&self, id: HeldId) -> Option<HeldValue> {
        let index = usize::try_from(id.index).ok()?;
        self.lock().get(&id.stream)?.get(index).cloned()
    }
}
