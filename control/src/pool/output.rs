//! Forwards the lines that runners print to the log, with the call that each line belongs to, if
//! that is known.

use std::sync::{Arc, OnceLock, Weak};

use super::inner::PoolInner;
use crate::backend::OutputLine;
use crate::log;

/// Forwards lines to the log. A backend receives it before the pool that the lines belong to
/// exists.
#[derive(Clone)]
pub(super) struct OutputForwarder {
    enabled: bool,
    pool: Arc<OnceLock<Weak<PoolInner>>>,
}

impl OutputForwarder {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, pool: Arc::default() }
    }

    /// Sets the pool that the lines belong to.
    pub(super) fn attach(&self, pool: &Arc<PoolInner>) {
        // Called once, when the pool starts.
        let _ = self.pool.set(Arc::downgrade(pool));
    }

    pub(super) fn into_fn(self) -> Arc<dyn Fn(OutputLine) + Send + Sync> {
        Arc::new(move |line| {
            if self.enabled {
                let pool = self.pool.get().and_then(Weak::upgrade);
                let call = pool.and_then(|pool| pool.only_call_on(line.runner));
                log::printed(line, call);
            }
        })
    }
}
