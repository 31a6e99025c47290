//! What the [search for orphans](crate::backend::sweeper) needs of Fly.

use std::sync::Arc;

use super::failure::ApiError;
use super::machine::Machine;
use super::monitor::Monitor;
use super::template::key;
use crate::backend::BackendError;
use crate::backend::sweep::POOL_TAG;
use crate::backend::sweeper::{NotStopped, Platform};

/// The machines of the pools of one name.
pub(super) struct Machines {
    pub(super) monitor: Arc<Monitor>,
    /// The app of the machines.
    pub(super) app: String,
    /// The name of the pools.
    pub(super) pool: String,
}

/// The instance of a [`Place`](crate::backend::place::Place) on Fly.
pub(super) fn place_of(app: &str, machine: &str) -> String {
    format!("{app}:{machine}")
}

impl Platform for Machines {
    type Instance = Machine;

    async fn list(&self) -> Result<Vec<Machine>, BackendError> {
        let listed = self.monitor.api.list(&key(POOL_TAG), &self.pool).await;
        listed.map_err(|error| error.into_backend_error("listing the machines"))
    }

    fn knows(&self, machine: &Machine) -> bool {
        self.monitor.knows(machine)
    }

    /// A machine of another app that is not found may be one that the token can't see.
    async fn runs(&self, place: &str) -> Option<bool> {
        let (app, machine) = place.split_once(':')?;
        match self.monitor.api.get_of(app, machine).await.ok()? {
            Some(machine) => Some(machine.runs_a_parent()),
            None if app == self.app => Some(false),
            None => None,
        }
    }

    /// Destroys an orphan, unless somebody else holds its lease: another parent that has found it as
    /// well, or a person who looks at it.
    async fn stop(&self, orphan: &Machine) -> Result<(), NotStopped> {
        let failed = |error: ApiError| {
            let is_of_others = error.is_leased() || error.is_not_found();
            let error = error.into_backend_error("destroying the machine");
            if is_of_others { NotStopped::LeftToOthers(error) } else { NotStopped::Failed(error) }
        };
        let nonce = self.monitor.api.lease(&orphan.id).await.map_err(failed)?;
        self.monitor.api.destroy(&orphan.id, Some(&nonce)).await.map_err(failed)
    }
}
