//! Gives each line that a runner prints the call it belongs to, where that can be known.

use std::sync::{Arc, OnceLock, Weak};

use super::driver::Shared;
use crate::backend::OutputLine;
use crate::log;

/// Where a backend's lines go; it is made before the pool that they belong to.
#[derive(Clone)]
pub(super) struct Sink {
    enabled: bool,
    pool: Arc<OnceLock<Weak<Shared>>>,
}

pub(super) fn sink(enabled: bool) -> Sink {
    Sink { enabled, pool: Arc::default() }
}

impl Sink {
    pub(super) fn attach(&self, pool: &Arc<Shared>) {
        // Called once, by the start of the pool.
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
