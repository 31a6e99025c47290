//! One listener for all pools of a runtime, so that they can share sockets and a key.
//!
//! A listener's tasks run on the runtime of the pools, and end with it. So pools of different
//! runtimes have different listeners.

use std::sync::{Arc, Weak};

use flame_link::{ServerKey, TlsError};
use flame_wire::ids::BuildId;
use flame_wire::sync::Mutex;
use tokio::runtime::{Handle, Id};

use super::{Listener, ListenerShared};

/// The listeners of this process. A listener lives as long as a pool uses it.
static LISTENERS: Mutex<Vec<(Id, Weak<ListenerShared>)>> = Mutex::new(Vec::new());

impl Listener {
    /// The listener of the current runtime. `build` must be the build of this process.
    pub(crate) fn of_current_runtime(build: &BuildId) -> Result<Self, TlsError> {
        let runtime = Handle::current().id();
        let mut listeners = LISTENERS.lock();
        listeners.retain(|(_, shared)| shared.strong_count() > 0);
        let existing = listeners.iter().find(|(id, _)| *id == runtime);
        if let Some(shared) = existing.and_then(|(_, shared)| shared.upgrade()) {
            return Ok(Self { shared });
        }
        let listener = Self::new(ServerKey::generate()?, build.clone());
        listeners.push((runtime, Arc::downgrade(&listener.shared)));
        Ok(listener)
    }
}
