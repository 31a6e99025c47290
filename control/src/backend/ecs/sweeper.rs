//! The search for orphans that a pool repeats as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;

use super::orphan_search::{self, OrphanSearch};
use super::task_monitor::TaskMonitor;
use crate::backend::aws::error_class;
use crate::backend::sweep::{Rule, until_next_scan};

/// Looks for orphans of one pool among the tasks of its task definition's family.
pub(super) struct Sweeper {
    monitor: Arc<TaskMonitor>,
    every: Duration,
    search: OrphanSearch,
    orphan_stopped: Arc<dyn Fn() + Send + Sync>,
}

impl Sweeper {
    pub(super) fn new(
        monitor: Arc<TaskMonitor>,
        family: String,
        rule: Rule,
        orphan_stopped: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let every = rule.pause;
        let search = OrphanSearch::new(monitor.api.clone(), Some(family), rule);
        Self { monitor, every, search, orphan_stopped }
    }

    /// Sweeps now and at regular intervals, until the future is dropped. Returns if this process
    /// may not list tasks.
    pub(super) async fn keep_sweeping(mut self) {
        loop {
            match self.search.scan(&|task| self.monitor.knows(task)).await {
                Ok(scanned) => {
                    for orphan in scanned.orphans {
                        if orphan_search::stop(&self.monitor.api, orphan).await {
                            (self.orphan_stopped)();
                        }
                    }
                }
                Err(error) if error_class::is_denied(&error) => {
                    log_writer::event(move || {
                        tracing::warn!(
                            %error,
                            "this process does not look for orphaned runners, since it may not \
                             list tasks; allow ecs:ListTasks and ecs:DescribeTasks"
                        );
                    });
                    return;
                }
                Err(error) => tracing::debug!(%error, "the search for orphaned runners failed"),
            }
            until_next_scan(self.every).await;
        }
    }
}
