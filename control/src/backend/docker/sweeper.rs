//! What the [search for orphans](crate::backend::sweeper) needs of an engine.

use std::sync::Arc;

use super::engine::ListedContainer;
use super::monitor::Monitor;
use crate::backend::BackendError;
use crate::backend::sweeper::{NotStopped, Platform};

/// The containers of the pools of one name.
pub(super) struct Containers {
    pub(super) monitor: Arc<Monitor>,
    /// Their label, with its value.
    pub(super) label: String,
}

impl Platform for Containers {
    type Instance = ListedContainer;

    async fn list(&self) -> Result<Vec<ListedContainer>, BackendError> {
        let listed = self.monitor.engine.list(&self.label).await;
        listed.map_err(|error| error.into_backend_error("listing the containers"))
    }

    fn knows(&self, container: &ListedContainer) -> bool {
        self.monitor.knows(&container.name)
    }

    async fn runs(&self, id: &str) -> Option<bool> {
        self.monitor.engine.runs(id).await.ok()
    }

    async fn stop(&self, orphan: &ListedContainer) -> Result<(), NotStopped> {
        let removed = self.monitor.engine.remove(&orphan.name).await;
        removed
            .map_err(|error| NotStopped::Failed(error.into_backend_error("removing the container")))
    }
}
