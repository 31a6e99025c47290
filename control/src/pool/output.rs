//! Forwards the lines that runners print to the log, with the call that each line belongs to, if
//! that is known.

use std::sync::{Arc, OnceLock, Weak};

use super::inner::PoolInner;
use crate::backend::OutputLine;
use crate::log::PoolLog;

/// Forwards lines to the log. A backend receives it before the pool that the lines belong to
/// exists.
#[derive(Clone)]
pub(super) struct OutputForwarder {
    enabled: bool,
    pool: Arc<OnceLock<(Weak<PoolInner>, Arc<PoolLog>)>>,
}

impl OutputForwarder {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, pool: Arc::default() }
    }

    /// Sets the pool that the lines belong to.
    pub(super) fn attach(&self, pool: &Arc<PoolInner>) {
        // Called once, when the pool starts.
        let _ = self.pool.set((Arc::downgrade(pool), pool.shared.log.clone()));
    }

    pub(super) fn into_fn(self) -> Arc<dyn Fn(OutputLine) + Send + Sync> {
        Arc::new(move |line| {
            // No instance is booted before the pool exists.
            if let Some((pool, log)) = self.pool.get().filter(|_| self.enabled) {
                let call = pool.upgrade().and_then(|pool| pool.only_call_on(line.runner));
                log.printed(line, call);
            }
        })
    }
}
