//! The start of a pool on ECS: resolves the settings, checks them against ECS, and starts the
//! monitor and the sweeper.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use flame_runner_shim::host::ecs::{EcsContainer, EcsTask};
use flame_wire::backoff::Backoff;
use tokio::time::sleep;

use super::api::{self, Api};
use super::builder::EcsBuilder;
use super::classify;
use super::instances::EcsInstances;
#[cfg(feature = "cloudwatch-logs")]
use super::log_tail::TaskLog;
use super::poller::PollIntervals;
use super::request::{self, Owner};
use super::sweeper::Sweeper;
use super::task_monitor::TaskMonitor;
use super::task_template::{self, ParentTask, TaskDefinition, TaskTemplate, check_problems};
use super::warnings::{Setup, warnings};
use crate::backend::aws::api_error::ApiError;
use crate::backend::aws::error_class::{self, ErrorClass};
use crate::backend::aws::sdk::{self, SdkOverrides};
use crate::backend::aws::settings::Settings;
use crate::backend::aws::{address, jittered_backoff};
use crate::backend::sweep::{Rule, Sweeping, new_parent_id};
use crate::backend::times::max_age;
use crate::backend::{BackendError, PoolInfo};

/// How often a request of the start is made, and the delays in between.
const START_ATTEMPTS: u32 = 5;
const START_BACKOFF: Backoff = jittered_backoff(Duration::from_millis(250), Duration::from_secs(2));
const POLL_INTERVALS: PollIntervals =
    PollIntervals { booting: Duration::from_secs(1), up: Duration::from_secs(5) };

pub(super) async fn start(
    builder: &EcsBuilder,
    pool: &PoolInfo,
) -> Result<EcsInstances, BackendError> {
    sdk::check_roots(builder.sdk.as_ref()).await?;
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::read("ecs", task_template::NAMES, variable)?;
    let config = sdk_config(builder, &settings).await;
    let mut parent = parent_task().await;
    if let Some(parent) = &mut parent
        && builder.subnets.is_empty()
        && settings.list("subnets").is_empty()
    {
        parent.subnets = subnets_of(&config, parent).await;
    }

    let mut problems = Vec::new();
    let mut template =
        TaskTemplate::resolve(builder, &settings, parent.as_ref(), &pool.size, &mut problems);
    problems.extend(request::check_longest(&template).err());
    if config.region().is_none() {
        problems.push(
            "`region` is missing: set `.region(..)`, AWS_REGION, or a region in the profile"
                .to_owned(),
        );
    }
    let endpoint = address::endpoint(&config, "ECS", variable);
    let address = address::check(pool, endpoint.as_deref(), "ECS task");
    problems.extend(address.err().map(|error| error.to_string()));
    check_problems(problems)?;

    let api = Api::new(&config, &template.cluster);
    let definition = check_against_ecs(&mut template, &api, pool.shutdown_timeout).await?;
    let mut containers = definition.iter().flat_map(|definition| &definition.containers);
    let container = containers.find(|container| container.name == template.container);
    let (on_ecs, max_lifetime) = (parent.is_some(), pool.max_lifetime);
    for warning in warnings(&Setup { template: &template, container, on_ecs, max_lifetime }) {
        tracing::warn!(pool = pool.name, "{warning}");
    }
    let log = container.and_then(|container| container.log.clone());
    let size = template.size(definition.as_ref());
    let family = match definition {
        Some(definition) => definition.family,
        None => family_of(&template.task_definition),
    };

    let owner = Owner {
        pool: request::tag_safe(&pool.name),
        parent: new_parent_id()?,
        task: parent.map(|parent| parent.task),
    };
    let intervals = builder.poll_intervals.unwrap_or(POLL_INTERVALS);
    #[cfg(feature = "cloudwatch-logs")]
    let task_log = log.clone().map(|location| {
        let config = without_ecs_endpoint(builder, &settings, &config);
        Arc::new(TaskLog::new(&config, location, template.container.clone()))
    });
    let monitor = TaskMonitor::new(api, template.container.clone(), log, intervals);
    let mut background = vec![tokio::spawn(monitor.clone().keep_polling())];
    if let Sweeping::Every { interval, age } = builder.sweep {
        let orphan_stopped = pool.orphan_stopped.clone();
        let (pool, parent) = (Some(owner.pool.clone()), Some(owner.parent.clone()));
        let rule = Rule { pool, parent, age, pause: interval };
        let sweeper = Sweeper::new(monitor.clone(), family, rule, orphan_stopped);
        background.push(tokio::spawn(sweeper.keep_sweeping()));
    }
    let boot_timeout = pool.boot_timeout;
    let max_age = max_age(pool);
    let providers = Arc::default();
    Ok(EcsInstances {
        template,
        size,
        owner,
        monitor,
        providers,
        #[cfg(feature = "cloudwatch-logs")]
        log: task_log,
        boot_timeout,
        max_age,
        background,
    })
}

async fn sdk_config(builder: &EcsBuilder, settings: &Settings) -> SdkConfig {
    let region = builder.region.clone().or_else(|| settings.text("region"));
    let endpoint = builder.endpoint.clone().or_else(|| settings.text("endpoint_url"));
    let overrides = SdkOverrides { region, endpoint };
    match builder.sdk.clone() {
        Some(config) => overrides.apply(config),
        None => sdk::load(&overrides, Some(api::REQUEST_TIMEOUT)).await,
    }
}

/// The configuration for another service: an endpoint that was set for ECS is not that service's.
#[cfg(feature = "cloudwatch-logs")]
fn without_ecs_endpoint(
    builder: &EcsBuilder,
    settings: &Settings,
    config: &SdkConfig,
) -> SdkConfig {
    let mut config = config.to_builder();
    if builder.endpoint.is_some() || settings.text("endpoint_url").is_some() {
        let own = builder.sdk.as_ref().and_then(|sdk| sdk.endpoint_url());
        config.set_endpoint_url(own.map(str::to_owned));
    }
    config.build()
}

/// The ECS task that this process runs in. `None` if its metadata can't be read: settings that the
/// task would have given are then reported as missing, unless they are set.
async fn parent_task() -> Option<ParentTask> {
    if !EcsTask::runs_on_ecs() {
        return None;
    }
    match (EcsTask::read().await, EcsContainer::read().await) {
        (Ok(task), container) => Some(ParentTask {
            task_definition: task.definition(),
            cluster: task.cluster,
            task: task.arn,
            container: container.ok().map(|container| container.name),
            subnets: Vec::new(),
        }),
        (Err(error), _) => {
            tracing::warn!(%error, "the metadata of this process's ECS task can't be read");
            None
        }
    }
}

/// The subnets of the task that this process runs in. The task metadata does not have them, so ECS
/// is asked.
async fn subnets_of(config: &SdkConfig, parent: &ParentTask) -> Vec<String> {
    if config.region().is_none() {
        return Vec::new();
    }
    let api = Api::new(config, &parent.cluster);
    match with_retries(|| api.subnets_of(&parent.task)).await {
        Ok(subnets) => subnets,
        Err(error) => {
            tracing::warn!(%error, "the subnets of this process's ECS task can't be read");
            Vec::new()
        }
    }
}

/// Completes the template from what ECS says, and rejects a template that does not fit. Returns the
/// task definition, if it may be read.
async fn check_against_ecs(
    template: &mut TaskTemplate,
    api: &Api,
    shutdown_timeout: Duration,
) -> Result<Option<TaskDefinition>, BackendError> {
    let mut problems = Vec::new();
    problems.extend(check_cluster(api, &template.cluster).await?.err());
    let definition = match task_definition(api, &template.task_definition).await? {
        Ok(definition) => {
            template.fit(definition.as_ref(), shutdown_timeout, &mut problems);
            definition
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    check_problems(problems).map(|()| definition)
}

/// A value, or a problem with a setting. An `Err` if ECS can't be reached, since all other checks
/// would then fail, too.
type Checked<T> = Result<Result<T, String>, BackendError>;

async fn check_cluster(api: &Api, cluster: &str) -> Checked<()> {
    match with_retries(|| api.cluster_status()).await {
        Ok(Some(status)) if status == "ACTIVE" => Ok(Ok(())),
        Ok(Some(status)) => Ok(Err(format!(
            "the ECS cluster `{cluster}` is {status}, not ACTIVE: create it again, or use another \
             cluster"
        ))),
        Ok(None) => Ok(Err(format!(
            "this account and region have no ECS cluster `{cluster}`: correct `cluster` \
             (FLAME_ECS_CLUSTER), or the region (AWS_REGION)"
        ))),
        Err(error) => tolerate_denial("the ECS cluster", "ecs:DescribeClusters", error).map(Ok),
    }
}

/// The task definition; `None` if this process may not read it.
async fn task_definition(api: &Api, name: &str) -> Checked<Option<TaskDefinition>> {
    match with_retries(|| api.task_definition(name)).await {
        Ok(definition) => Ok(Ok(Some(definition))),
        Err(error) if error.code.as_deref() == Some("ClientException") => Ok(Err(format!(
            "this account and region have no task definition `{name}`: correct `task_definition` \
             (FLAME_ECS_TASK_DEFINITION), or register the task definition ({error})"
        ))),
        Err(error) => {
            tolerate_denial("the task definition", "ecs:DescribeTaskDefinition", error)?;
            Ok(Ok(None))
        }
    }
}

/// Skips a check that this process has no permission for.
fn tolerate_denial(what: &str, action: &str, error: ApiError) -> Result<(), BackendError> {
    if error_class::is_denied(&error) {
        tracing::warn!(%error, "{what} is not checked before the first boot; to check it, allow {action}");
        return Ok(());
    }
    let advice = classify::advice(classify::of_error(&error), &error);
    Err(BackendError::new(format!("{what} can't be read: {error}; {advice}")))
}

/// Makes a read-only request, and retries it a few times.
async fn with_retries<T, F: Future<Output = Result<T, ApiError>>>(
    request: impl Fn() -> F,
) -> Result<T, ApiError> {
    let mut failures = 0;
    loop {
        match request().await {
            Err(error)
                if matches!(
                    classify::of_error(&error),
                    ErrorClass::Throttled | ErrorClass::Transient
                ) && failures + 1 < START_ATTEMPTS =>
            {
                failures += 1;
                sleep(START_BACKOFF.pause(failures, rand::random())).await;
            }
            result => return result,
        }
    }
}

/// The family in `family`, `family:revision` or an ARN.
fn family_of(definition: &str) -> String {
    let name = definition.rsplit_once('/').map_or(definition, |(_, name)| name);
    name.split_once(':').map_or(name, |(family, _)| family).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_found_in_every_form_of_a_task_definitions_name() {
        for name in ["app", "app:7", "arn:aws:ecs:eu-central-1:1:task-definition/app:7"] {
            assert_eq!(family_of(name), "app", "{name}");
        }
    }
}
