//! One search for orphans in a whole cluster, from a process that boots no runners.

use std::time::Duration;

use aws_config::SdkConfig;
use flame_runner_shim::log_writer;
use tokio::time::sleep;

use super::api::{self, Api};
use super::classify;
use super::orphan_search::{self, OrphanSearch};
use crate::backend::BackendError;
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::sdk::{self, SdkOverrides};
use crate::backend::sweep::Rule;

/// How many scans with a failed request a search makes before it leaves the rest to the next one.
const MAX_FAILED_SCANS: u32 = 3;

/// Stops the orphaned runners of all pools in a cluster.
///
/// Each pool stops its own orphans while it lives: see [`Ecs`](super::Ecs). A reaper finds those
/// that no pool looks for any more. It runs in a process of its own, on a schedule; the package
/// `flame-reaper` is a Lambda function around it.
///
/// A task with the tags of a runner is an orphan
///
/// - if its parent was an ECS task that has stopped; or
/// - if its `max_lifetime` ended more than 5 min ago.
///
/// A reaper stops only orphans that are older than [`min_age`](Self::min_age), and that are still
/// orphans when it looks again after a [`pause`](Self::pause). It never stops a task whose parent
/// lives, or does not run on ECS, before its `max_lifetime` is over.
///
/// ```no_run
/// use flame_aws::backend::EcsReaper;
///
/// # async fn example() -> Result<(), flame_aws::backend::BackendError> {
/// let report = EcsReaper::new("main").run().await?;
/// println!("stopped {} of {} orphans", report.stopped, report.orphans);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EcsReaper {
    cluster: String,
    min_age: Duration,
    pause: Duration,
    sdk: Option<SdkConfig>,
}

/// What a run of an [`EcsReaper`] has found and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReaperReport {
    /// How many tasks the cluster has, runners or not.
    pub tasks: usize,
    /// How many of them were orphans when the reaper looked again.
    pub orphans: usize,
    /// How many orphans were stopped.
    pub stopped: usize,
    /// How many orphans could not be stopped. The log says why.
    pub failed: usize,
    /// Whether some requests failed, so that there may be more tasks.
    pub is_incomplete: bool,
}

impl EcsReaper {
    /// A reaper for this cluster: its name or ARN. Region and credentials come from the
    /// environment, as for every AWS SDK.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            min_age: Duration::from_secs(600),
            pause: Duration::from_secs(60),
            sdk: None,
        }
    }

    /// The minimum age of a task that is stopped. Default: 10 min. It must be longer than the boots
    /// of all pools may take.
    pub fn min_age(mut self, age: Duration) -> Self {
        self.min_age = age;
        self
    }

    /// The time between the two looks. Default: 60 s. ECS is eventually consistent, and may not
    /// know a parent's task for a moment.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The configuration of the AWS SDK. Default: the one that the SDK finds in the environment.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// Looks for orphans, looks again if there are any, and stops them. Each stopped task is an
    /// event of `tracing`.
    ///
    /// Takes as long as its requests, and the pause if there are orphans.
    ///
    /// # Errors
    /// [`BackendError`] if the cluster's tasks can't be listed or described.
    pub async fn run(&self) -> Result<ReaperReport, BackendError> {
        sdk::check_roots(self.sdk.as_ref()).await?;
        let config = match self.sdk.clone() {
            Some(config) => config,
            None => sdk::load(&SdkOverrides::default(), Some(api::REQUEST_TIMEOUT)).await,
        };
        if config.region().is_none() {
            let message = "the AWS region is missing: set AWS_REGION, or a region in the profile";
            return Err(BackendError::new(message));
        }
        let report = self.reap(Api::new(&config, &self.cluster)).await;
        // The process may be frozen as soon as the report is there.
        log_writer::global().flush().await;
        report.map_err(|error| {
            let advice = classify::advice(classify::of_error(&error), &error);
            let cluster = &self.cluster;
            BackendError::new(format!("could not look for orphans in {cluster}: {error}; {advice}"))
        })
    }

    async fn reap(&self, api: Api) -> Result<ReaperReport, ApiError> {
        let rule = Rule { pool: None, parent: None, age: self.min_age, pause: self.pause };
        let mut search = OrphanSearch::new(api.clone(), None, rule);
        let mut report = ReaperReport::default();
        let mut failed_scans = 0;
        loop {
            // A first scan stops nothing.
            let scanned = search.scan(&|_| false).await?;
            report.tasks += scanned.tasks;
            failed_scans += u32::from(scanned.has_gaps);
            if scanned.ends_round || failed_scans == MAX_FAILED_SCANS {
                break;
            }
        }
        report.is_incomplete = failed_scans > 0;
        if search.marked() == 0 {
            return Ok(report);
        }
        sleep(self.pause).await;
        let orphans = search.scan_marked().await?;
        report.orphans = search.marked();
        for orphan in orphans {
            match orphan_search::stop(&api, orphan).await {
                true => report.stopped += 1,
                false => report.failed += 1,
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
