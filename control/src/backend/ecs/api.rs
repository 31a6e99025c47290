//! The requests to the ECS API, as plain values. Only this module knows the SDK's types.
//!
//! Each request first waits at a rate limiter that all pools of this process share; for RunTask the
//! caller does that. Each request is made once: the caller decides whether to retry it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::BuildError;
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, LaunchType,
    NetworkConfiguration, Tag, TaskField,
};
use flame_runner_shim::log_writer;
use flame_wire::sync::Mutex;

use super::providers::Platform;
use super::request::RunTaskRequest;
use super::run_task::Event;
use super::task::Task;
use super::task_template::{TaskDefinition, TaskTemplate};
use crate::backend::aws::api_error::{ApiError, ApiErrorKind};
use crate::backend::aws::error_class;
use crate::backend::rate_limit::RateLimiter;

mod convert;

/// How long one request may take. AWS responds in a second or two on a bad day.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many pages of a list are read at a time: 1,000 tasks.
pub(super) const MAX_PAGES: usize = 10;

/// The request rates that AWS allows an account in a region: RunTask and StopTask share one rate,
/// DescribeTasks and ListTasks another (AWS documentation, "Request throttling for the Amazon ECS
/// API"; second-hand). Fargate allows fewer launches (AWS documentation, "AWS Fargate throttling
/// quotas").
#[derive(Debug)]
struct RateLimiters {
    launch: RateLimiter,
    write: RateLimiter,
    read: RateLimiter,
}

impl RateLimiters {
    const fn new() -> Self {
        Self {
            launch: RateLimiter::new(100.0, 20.0),
            write: RateLimiter::new(100.0, 40.0),
            read: RateLimiter::new(100.0, 20.0),
        }
    }

    /// Waits until a task may be launched, which is a write as well.
    async fn acquire_launch(&self) {
        self.launch.acquire().await;
        self.write.acquire().await;
    }
}

/// The rate limiters of a region and endpoint, shared by all backends of this process.
fn shared_rate_limiters(scope: String) -> Arc<RateLimiters> {
    static ALL: Mutex<Option<HashMap<String, Arc<RateLimiters>>>> = Mutex::new(None);
    let mut all = ALL.lock();
    all.get_or_insert_default()
        .entry(scope)
        .or_insert_with(|| Arc::new(RateLimiters::new()))
        .clone()
}

/// A client of one cluster.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    cluster: String,
    rate_limiters: Arc<RateLimiters>,
}

impl Api {
    pub(super) fn new(config: &SdkConfig, cluster: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(REQUEST_TIMEOUT).build();
        let scope = (config.region(), config.endpoint_url());
        let config = aws_sdk_ecs::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let rate_limiters = shared_rate_limiters(format!("{scope:?}"));
        Self { client: Client::from_conf(config), cluster: cluster.to_owned(), rate_limiters }
    }

    /// Waits until the rate limits allow a launch.
    pub(super) async fn acquire_launch(&self) {
        self.rate_limiters.acquire_launch().await;
    }

    /// Calls RunTask, after [`acquire_launch`](Self::acquire_launch).
    pub(super) async fn run_task(&self, template: &TaskTemplate, request: RunTaskRequest) -> Event {
        let call = match self.run_task_call(template, request) {
            Ok(call) => call,
            Err(error) => return Event::Error(not_sent(&error.to_string()), Vec::new()),
        };
        match call.send().await {
            Ok(response) => match response.tasks().iter().find_map(|task| task.task_arn()) {
                Some(arn) => Event::Task(arn.to_owned()),
                None => Event::Failures(response.failures().iter().map(convert::failure).collect()),
            },
            Err(error) => {
                let arns = match error.as_service_error() {
                    Some(RunTaskError::ConflictException(conflict)) => conflict.resource_ids(),
                    _ => &[],
                };
                Event::Error(error_class::of_request(&error, RUN_TASK_ACTIONS), arns.to_vec())
            }
        }
    }

    fn run_task_call(
        &self,
        template: &TaskTemplate,
        request: RunTaskRequest,
    ) -> Result<aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder, BuildError> {
        let network = match template.subnets.is_empty() {
            // The task shares the network of its instance.
            true => None,
            false => Some(network_configuration(template)?),
        };
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let call = self
            .client
            .run_task()
            .cluster(&self.cluster)
            .task_definition(&template.task_definition)
            // Several tasks would share one override, and so one token.
            .count(1)
            .client_token(request.token)
            .started_by(request.started_by)
            .set_tags(Some(request.tags.into_iter().map(tag).collect()))
            // The tasks have only the tags of this request.
            .enable_ecs_managed_tags(false)
            .set_network_configuration(network)
            .set_platform_version(template.platform_version.clone())
            .enable_execute_command(template.execute_command)
            .overrides(convert::overrides(request.overrides));
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

    /// Stops a task. Succeeds for a task that ECS does not know, since it is gone already.
    pub(super) async fn stop_task(&self, arn: &str, reason: &str) -> Result<(), ApiError> {
        self.rate_limiters.write.acquire().await;
        let call = self.client.stop_task().cluster(&self.cluster).task(arn).reason(reason);
        match call.send().await.map_err(|error| error_class::of_request(&error, &["ecs:StopTask"]))
        {
            Ok(_) => Ok(()),
            Err(error) if is_unknown_task(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Describes at most 100 tasks: returns the tasks that ECS knows, and the ARNs that it does
    /// not. The tasks have their tags if `tags` is set.
    pub(super) async fn describe(
        &self,
        arns: &[String],
        tags: bool,
    ) -> Result<(Vec<Task>, Vec<String>), ApiError> {
        self.describe_in(&self.cluster, arns, tags).await
    }

    /// Like [`describe`](Self::describe), for tasks of another cluster.
    pub(super) async fn describe_in(
        &self,
        cluster: &str,
        arns: &[String],
        tags: bool,
    ) -> Result<(Vec<Task>, Vec<String>), ApiError> {
        self.rate_limiters.read.acquire().await;
        let call = self.client.describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
        let call = call.set_include(tags.then(|| vec![TaskField::Tags]));
        let response = call
            .send()
            .await
            .map_err(|error| error_class::of_request(&error, &["ecs:DescribeTasks"]))?;
        let missing =
            response.failures().iter().filter(|failure| failure.reason() == Some("MISSING"));
        let missing = missing.filter_map(|failure| failure.arn().map(str::to_owned)).collect();
        Ok((response.tasks().iter().map(convert::task).collect(), missing))
    }

    /// The subnets of a task's network interfaces.
    pub(super) async fn subnets_of(&self, arn: &str) -> Result<Vec<String>, ApiError> {
        self.rate_limiters.read.acquire().await;
        let call = self.client.describe_tasks().cluster(&self.cluster).tasks(arn);
        let response = call
            .send()
            .await
            .map_err(|error| error_class::of_request(&error, &["ecs:DescribeTasks"]))?;
        let attachments = response.tasks().iter().flat_map(|task| task.attachments());
        let details = attachments.flat_map(|attachment| attachment.details());
        let subnets = details.filter(|detail| detail.name() == Some("subnetId"));
        Ok(subnets.filter_map(|detail| detail.value().map(str::to_owned)).collect())
    }

    /// The ARNs of the tasks with this `startedBy`, except stopped ones.
    pub(super) async fn started_by(&self, started_by: &str) -> Result<Vec<String>, ApiError> {
        let (mut arns, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            // ECS accepts no other filter together with `startedBy`.
            let page = self.page(token, |call| call.started_by(started_by)).await?;
            arns.extend(page.arns);
            token = page.next;
            if token.is_none() {
                return Ok(arns);
            }
        }
        let listed = arns.len();
        log_writer::event(move || {
            tracing::warn!(listed, "the pool has more ECS tasks than this look-up reads");
        });
        Ok(arns)
    }

    /// A page of the tasks of a family, or of the cluster, except stopped ones: the first page, or
    /// the page with this token.
    pub(super) async fn tasks(
        &self,
        family: Option<&str>,
        token: Option<String>,
    ) -> Result<Page, ApiError> {
        self.page(token, |call| call.set_family(family.map(str::to_owned))).await
    }

    async fn page(
        &self,
        token: Option<String>,
        filter: impl FnOnce(ListTasks) -> ListTasks,
    ) -> Result<Page, ApiError> {
        self.rate_limiters.read.acquire().await;
        let call = filter(self.client.list_tasks().cluster(&self.cluster)).set_next_token(token);
        let response = call
            .send()
            .await
            .map_err(|error| error_class::of_request(&error, &["ecs:ListTasks"]))?;
        Ok(Page { arns: response.task_arns.unwrap_or_default(), next: response.next_token })
    }

    /// The status of the cluster, such as ACTIVE; `None` if it does not exist.
    pub(super) async fn cluster_status(&self) -> Result<Option<String>, ApiError> {
        self.rate_limiters.read.acquire().await;
        let call = self.client.describe_clusters().clusters(&self.cluster);
        let response = call
            .send()
            .await
            .map_err(|error| error_class::of_request(&error, &["ecs:DescribeClusters"]))?;
        let cluster = response.clusters().first();
        Ok(cluster.map(|cluster| cluster.status().unwrap_or_default().to_owned()))
    }

    pub(super) async fn task_definition(&self, name: &str) -> Result<TaskDefinition, ApiError> {
        self.rate_limiters.read.acquire().await;
        let call = self.client.describe_task_definition().task_definition(name);
        let response = call
            .send()
            .await
            .map_err(|error| error_class::of_request(&error, &["ecs:DescribeTaskDefinition"]))?;
        let missing = || not_sent("the response has no task definition");
        Ok(convert::task_definition(response.task_definition().ok_or_else(missing)?))
    }
}

/// A page of a list of tasks: at most 100 ARNs.
pub(super) struct Page {
    pub(super) arns: Vec<String>,
    /// The token of the next page; `None` on the last page.
    pub(super) next: Option<String>,
}

type ListTasks = aws_sdk_ecs::operation::list_tasks::builders::ListTasksFluentBuilder;

/// The network interface of a task of its own.
fn network_configuration(template: &TaskTemplate) -> Result<NetworkConfiguration, BuildError> {
    let interface = AwsVpcConfiguration::builder()
        .set_subnets(Some(template.subnets.clone()))
        .set_security_groups(
            Some(template.security_groups.clone()).filter(|groups| !groups.is_empty()),
        );
    // Only Fargate gives a task a public address.
    let interface = match (template.platform, template.public_ip) {
        (Platform::Fargate, true) => interface.assign_public_ip(AssignPublicIp::Enabled),
        (Platform::Fargate, false) => interface.assign_public_ip(AssignPublicIp::Disabled),
        (Platform::Instances, _) => interface,
    };
    Ok(NetworkConfiguration::builder().awsvpc_configuration(interface.build()?).build())
}

/// StopTask of a task that is gone fails with the error code for any invalid parameter.
fn is_unknown_task(error: &ApiError) -> bool {
    error.code.as_deref() == Some("InvalidParameterException")
        && error.message.to_lowercase().contains("not found")
}

/// The permissions of RunTask: it tags the task, and gives ECS the roles of the task definition.
const RUN_TASK_ACTIONS: &[&str] = &["ecs:RunTask", "ecs:TagResource", "iam:PassRole"];

/// An error of a request that could not be built.
fn not_sent(why: &str) -> ApiError {
    ApiError { message: why.to_owned(), ..ApiError::new(ApiErrorKind::NotSent) }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::backend::aws::testing::{config, page_server};

    #[tokio::test]
    async fn a_page_from_another_server_is_not_mistaken_for_ecss_response() {
        for status in [200, 403, 501, 502] {
            let endpoint = page_server(status, "<html><b>Not here</b></html>").await;
            let error = Api::new(&config(&endpoint), "main").cluster_status().await.unwrap_err();
            assert_eq!(
                (error.kind, error.status),
                (ApiErrorKind::Foreign, Some(status)),
                "{error:?}"
            );
            assert!(error.to_string().contains(&format!("HTTP {status}: Not here")), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn launches_keep_fargates_rate_and_do_not_delay_stops() {
        let (limiters, begin) = (RateLimiters::new(), Instant::now());
        for _ in 0..140 {
            limiters.acquire_launch().await;
        }
        let launched = begin.elapsed();
        assert!(
            (2_000..2_100).contains(&launched.as_millis()),
            "100 at once, then 20 a second: {launched:?}"
        );
        let begin = Instant::now();
        for _ in 0..40 {
            limiters.write.acquire().await;
        }
        assert!(begin.elapsed().is_zero(), "stops do not wait for launches: {:?}", begin.elapsed());
    }
}
