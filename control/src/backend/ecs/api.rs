//! The ECS API, in plain values. The one place that knows the SDK's types.
//!
//! Each request waits for its turn at a meter that all pools of this process share (whoever orders a
//! task does so beforehand), and has one attempt: the caller decides whether to repeat it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::BuildError;
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, Compatibility,
    ContainerOverride, EphemeralStorage, KeyValuePair, LaunchType, LogDriver, NetworkConfiguration,
    Tag, TaskDefinitionStatus, TaskField, TaskOverride,
};
use flame_runner_shim::log_writer;

use super::classify::Failure;
use super::order::Heard;
use super::plan::{ContainerDefinition, Definition, Plan};
use super::request::{Overrides, Request};
use super::task::{Container, Log, Task};
use crate::backend::aws::bucket::Meter;
use crate::backend::aws::fault::{Fault, Got};

/// How long one request may take. AWS answers in a second or two on a bad day.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);
/// How many pages of a list are read in one go: 1,000 tasks.
pub(super) const PAGES: usize = 10;

/// The requests per second that AWS allows an account in a region: RunTask and StopTask share one
/// rate, DescribeTasks and ListTasks another (AWS documentation, "Request throttling for the Amazon
/// ECS API"; second-hand). Of RunTask Fargate takes fewer (AWS documentation, "AWS Fargate throttling
/// quotas").
#[derive(Debug)]
struct Meters {
    launch: Meter,
    change: Meter,
    look: Meter,
}

impl Meters {
    const fn new() -> Self {
        Self {
            launch: Meter::new(100.0, 20.0),
            change: Meter::new(100.0, 40.0),
            look: Meter::new(100.0, 20.0),
        }
    }

    /// Waits for a turn to start a task, which is a change as well.
    async fn launch(&self) {
        self.launch.pass().await;
        self.change.pass().await;
    }
}

/// The meters of a region, for all backends of this process.
fn meters(place: String) -> Arc<Meters> {
    static ALL: Mutex<Option<HashMap<String, Arc<Meters>>>> = Mutex::new(None);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default().entry(place).or_insert_with(|| Arc::new(Meters::new())).clone()
}

/// A client of one cluster.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    cluster: String,
    meters: Arc<Meters>,
}

impl Api {
    pub(super) fn new(config: &SdkConfig, cluster: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(ATTEMPT).build();
        let place = (config.region(), config.endpoint_url());
        let config = aws_sdk_ecs::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let meters = meters(format!("{place:?}"));
        Self { client: Client::from_conf(config), cluster: cluster.to_owned(), meters }
    }

    /// Waits for a turn to order a task.
    pub(super) async fn turn_to_launch(&self) {
        self.meters.launch().await;
    }

    /// Orders a task. It is [its turn](Self::turn_to_launch).
    pub(super) async fn run_task(&self, plan: &Plan, request: Request) -> Heard {
        let call = match self.run_task_call(plan, request) {
            Ok(call) => call,
            Err(error) => return Heard::Fault(unmade(&error.to_string()), Vec::new()),
        };
        match call.send().await {
            Ok(answer) => match answer.tasks().iter().find_map(|task| task.task_arn()) {
                Some(arn) => Heard::Task(arn.to_owned()),
                None => Heard::Failures(answer.failures().iter().map(failure).collect()),
            },
            Err(error) => {
                let taken = match error.as_service_error() {
                    Some(RunTaskError::ConflictException(conflict)) => conflict.resource_ids(),
                    _ => &[],
                };
                Heard::Fault(Fault::of(&error), taken.to_vec())
            }
        }
    }

    fn run_task_call(
        &self,
        plan: &Plan,
        request: Request,
    ) -> Result<aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder, BuildError> {
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(plan.subnets.clone()))
            .set_security_groups(
                Some(plan.security_groups.clone()).filter(|groups| !groups.is_empty()),
            )
            .assign_public_ip(match plan.public_ip {
                true => AssignPublicIp::Enabled,
                false => AssignPublicIp::Disabled,
            })
            .build()?;
        let network = NetworkConfiguration::builder().awsvpc_configuration(network).build();
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let call = self
            .client
            .run_task()
            .cluster(&self.cluster)
            .task_definition(&plan.task_definition)
            // With more, all would have one override, and so one token.
            .count(1)
            .client_token(request.token)
            .started_by(request.started_by)
            .set_tags(Some(request.tags.into_iter().map(tag).collect()))
            // Neither its tags nor the definition's are added: those that are there are ours.
            .enable_ecs_managed_tags(false)
            .network_configuration(network)
            .set_platform_version(plan.platform_version.clone())
            .overrides(overrides(request.overrides)?);
        Ok(match request.provider {
            None => call.launch_type(LaunchType::Fargate),
            Some(provider) => call.capacity_provider_strategy(
                CapacityProviderStrategyItem::builder()
                    .capacity_provider(provider)
                    .weight(1)
                    .build()?,
            ),
        })
    }

    /// Tells a task to stop. One that ECS does not know is gone already.
    pub(super) async fn stop_task(&self, arn: &str, reason: &str) -> Result<(), Fault> {
        self.meters.change.pass().await;
        let call = self.client.stop_task().cluster(&self.cluster).task(arn).reason(reason);
        match call.send().await.map_err(|error| Fault::of(&error)) {
            Ok(_) => Ok(()),
            Err(fault) if is_unknown_task(&fault) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The tasks that ECS knows, and those that it does not; at most 100. With their tags, if these
    /// are asked for.
    pub(super) async fn describe(
        &self,
        arns: &[String],
        tags: bool,
    ) -> Result<(Vec<Task>, Vec<String>), Fault> {
        self.describe_in(&self.cluster, arns, tags).await
    }

    /// The same for tasks of another cluster.
    pub(super) async fn describe_in(
        &self,
        cluster: &str,
        arns: &[String],
        tags: bool,
    ) -> Result<(Vec<Task>, Vec<String>), Fault> {
        self.meters.look.pass().await;
        let call = self.client.describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
        let call = call.set_include(tags.then(|| vec![TaskField::Tags]));
        let answer = call.send().await.map_err(|error| Fault::of(&error))?;
        let missing =
            answer.failures().iter().filter(|failure| failure.reason() == Some("MISSING"));
        let missing = missing.filter_map(|failure| failure.arn().map(str::to_owned)).collect();
        Ok((answer.tasks().iter().map(task).collect(), missing))
    }

    /// The subnets that a task's network interfaces are in.
    pub(super) async fn subnets_of(&self, arn: &str) -> Result<Vec<String>, Fault> {
        self.meters.look.pass().await;
        let call = self.client.describe_tasks().cluster(&self.cluster).tasks(arn);
        let answer = call.send().await.map_err(|error| Fault::of(&error))?;
        let attached = answer.tasks().iter().flat_map(|task| task.attachments());
        let details = attached.flat_map(|attached| attached.details());
        let subnets = details.filter(|detail| detail.name() == Some("subnetId"));
        Ok(subnets.filter_map(|detail| detail.value().map(str::to_owned)).collect())
    }

    /// The tasks that are to run and were started by that: their ARNs.
    pub(super) async fn started_by(&self, who: &str) -> Result<Vec<String>, Fault> {
        let (mut arns, mut from) = (Vec::new(), None);
        for _ in 0..PAGES {
            // ECS takes no other filter beside it.
            let page = self.page(from, |call| call.started_by(who)).await?;
            arns.extend(page.arns);
            from = page.next;
            if from.is_none() {
                return Ok(arns);
            }
        }
        let listed = arns.len();
        log_writer::event(move || {
            tracing::warn!(listed, "there are more tasks than are looked at")
        });
        Ok(arns)
    }

    /// Some of the tasks of a family that are to run: the first ones, or those that follow.
    pub(super) async fn of_family(
        &self,
        family: &str,
        from: Option<String>,
    ) -> Result<Page, Fault> {
        self.page(from, |call| call.family(family)).await
    }

    async fn page(
        &self,
        from: Option<String>,
        filter: impl FnOnce(ListTasks) -> ListTasks,
    ) -> Result<Page, Fault> {
        self.meters.look.pass().await;
        let call = filter(self.client.list_tasks().cluster(&self.cluster)).set_next_token(from);
        let answer = call.send().await.map_err(|error| Fault::of(&error))?;
        Ok(Page { arns: answer.task_arns.unwrap_or_default(), next: answer.next_token })
    }

    /// The state of the cluster, such as ACTIVE; `None` if there is no such cluster.
    pub(super) async fn cluster_status(&self) -> Result<Option<String>, Fault> {
        self.meters.look.pass().await;
        let call = self.client.describe_clusters().clusters(&self.cluster);
        let answer = call.send().await.map_err(|error| Fault::of(&error))?;
        let cluster = answer.clusters().first();
        Ok(cluster.map(|cluster| cluster.status().unwrap_or_default().to_owned()))
    }

    /// The task definition.
    pub(super) async fn definition(&self, name: &str) -> Result<Definition, Fault> {
        self.meters.look.pass().await;
        let call = self.client.describe_task_definition().task_definition(name);
        let answer = call.send().await.map_err(|error| Fault::of(&error))?;
        let unmade = || unmade("the answer has no task definition");
        Ok(definition(answer.task_definition().ok_or_else(unmade)?))
    }
}

/// A part of a list of tasks; at most 100.
pub(super) struct Page {
    pub(super) arns: Vec<String>,
    /// What the next part is asked for by; none after the last.
    pub(super) next: Option<String>,
}

type ListTasks = aws_sdk_ecs::operation::list_tasks::builders::ListTasksFluentBuilder;

/// StopTask of a task that is gone says so with the name for any wrong parameter.
fn is_unknown_task(fault: &Fault) -> bool {
    fault.code.as_deref() == Some("InvalidParameterException")
        && fault.message.to_lowercase().contains("not found")
}

/// A request that could not be made.
fn unmade(why: &str) -> Fault {
    Fault { message: why.to_owned(), ..Fault::new(Got::Nowhere) }
}

fn overrides(overrides: Overrides) -> Result<TaskOverride, BuildError> {
    let containers = overrides.container_overrides.into_iter().map(|container| {
        let variables = container.environment.into_iter().map(|variable| {
            KeyValuePair::builder().name(variable.name).value(variable.value).build()
        });
        ContainerOverride::builder()
            .name(container.name)
            .set_environment(Some(variables.collect()))
            .set_cpu(container.cpu)
            .set_memory(container.memory)
            .build()
    });
    let storage = overrides.ephemeral_storage;
    Ok(TaskOverride::builder()
        .set_container_overrides(Some(containers.collect()))
        .set_cpu(overrides.cpu)
        .set_memory(overrides.memory)
        .set_ephemeral_storage(
            storage.map(|storage| EphemeralStorage::builder().size_in_gib(storage.gib).build()),
        )
        .build())
}

fn failure(failure: &aws_sdk_ecs::types::Failure) -> Failure {
    Failure {
        arn: failure.arn().map(str::to_owned),
        reason: failure.reason().unwrap_or("no reason is given").to_owned(),
        detail: failure.detail().map(str::to_owned),
    }
}

fn task(task: &aws_sdk_ecs::types::Task) -> Task {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let containers = task.containers().iter().map(|container| Container {
        name: text(container.name()),
        exit_code: container.exit_code(),
        reason: container.reason().map(str::to_owned),
    });
    let tags = task.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
    Task {
        arn: text(task.task_arn()),
        status: text(task.last_status()),
        desired: text(task.desired_status()),
        stop_code: task.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason().map(str::to_owned),
        created: task.created_at().map(aws_sdk_ecs::primitives::DateTime::secs),
        containers: containers.collect(),
        tags: tags.collect(),
    }
}

/// `mode`, which all log drivers have (AWS documentation, LogConfiguration).
fn is_blocking(log: &aws_sdk_ecs::types::LogConfiguration) -> bool {
    let mode = log.options().and_then(|options| options.get("mode"));
    mode.is_some_and(|mode| mode == "blocking")
}

fn log(log: &aws_sdk_ecs::types::LogConfiguration) -> Option<Log> {
    let option = |name| log.options().and_then(|options| options.get(name)).cloned();
    if *log.log_driver() != LogDriver::Awslogs {
        return None;
    }
    Some(Log { group: option("awslogs-group")?, prefix: option("awslogs-stream-prefix")? })
}

fn definition(definition: &aws_sdk_ecs::types::TaskDefinition) -> Definition {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let positive = |number: i32| u32::try_from(number).unwrap_or(0);
    let containers = definition.container_definitions().iter().map(|container| {
        let memory = container.memory().or(container.memory_reservation());
        ContainerDefinition {
            name: container.name().unwrap_or_default().to_owned(),
            cpu: positive(container.cpu()),
            memory: positive(memory.unwrap_or(0)),
            stop_timeout: container.stop_timeout().map(positive),
            // Where it does not say, it is (AWS documentation, ContainerDefinition).
            optional: container.essential() == Some(false),
            restarts: container.restart_policy().is_some_and(|policy| policy.enabled()),
            blocking_log: container.log_configuration().is_some_and(is_blocking),
            log: container.log_configuration().and_then(log),
        }
    });
    // What it asks for; where it asks for nothing, ECS takes what fits.
    let requires = definition.requires_compatibilities();
    Definition {
        family: definition.family().unwrap_or_default().to_owned(),
        active: !matches!(definition.status(), Some(TaskDefinitionStatus::Inactive)),
        network_mode: definition.network_mode().map(|mode| mode.as_str()).unwrap_or("").to_owned(),
        fargate: (!requires.is_empty()).then(|| requires.contains(&Compatibility::Fargate)),
        cpu: number(definition.cpu()),
        memory: number(definition.memory()),
        containers: containers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::backend::aws::testing::{config, server_of_a_page};

    #[tokio::test]
    async fn a_page_in_the_place_of_ecs_is_told_as_that_with_its_status() {
        for status in [200, 403, 501, 502] {
            let endpoint = server_of_a_page(status, "<html><b>Not here</b></html>").await;
            let fault = Api::new(&config(&endpoint), "main").cluster_status().await.unwrap_err();
            assert_eq!((fault.got, fault.status), (Got::Foreign, Some(status)), "{fault:?}");
            assert!(fault.to_string().contains(&format!("HTTP {status}: Not here")), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn launches_keep_the_rate_of_fargate_and_leave_room_for_stops() {
        let (meters, begin) = (Meters::new(), Instant::now());
        for _ in 0..140 {
            meters.launch().await;
        }
        let launched = begin.elapsed();
        assert!(
            (2_000..2_100).contains(&launched.as_millis()),
            "100, and 20 a second: {launched:?}"
        );
        let begin = Instant::now();
        for _ in 0..40 {
            meters.change.pass().await;
        }
        assert!(begin.elapsed().is_zero(), "stops wait for no launch: {:?}", begin.elapsed());
    }
}
