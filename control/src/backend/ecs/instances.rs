//! The ECS tasks of one pool: boots them, and passes stops and watches to the [`TaskMonitor`].

use std::sync::Arc;
use std::time::Duration;

use flame_wire::backoff::Backoff;
use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

#[cfg(feature = "cloudwatch-logs")]
use super::log_tail::TaskLog;
use super::poller::MAX_BATCH;
use super::providers::ProviderUse;
use super::request::{Owner, RunTaskRequest};
use super::run_task::{Action, Event, RunTaskAttempt};
use super::task::Task;
use super::task_monitor::{TaskMonitor, now};
use super::task_template::TaskTemplate;
#[cfg(feature = "cloudwatch-logs")]
use crate::backend::InstanceEvent;
use crate::backend::aws::api_error::{ApiError, ApiErrorKind};
use crate::backend::aws::jittered_backoff;
use crate::backend::sweep::{RUNNER_TAG, ends_by};
use crate::backend::{BackendError, BootFailure, BootSpec, BootTimes, Death, Instance, Instances};
use crate::cost::InstanceSize;

/// The delays between the RunTask requests of one boot.
const RUN_TASK_BACKOFF: Backoff =
    jittered_backoff(Duration::from_millis(250), Duration::from_secs(5));
/// How often a task whose RunTask had no response is looked up, since lists lag behind.
const LOOKUP_ATTEMPTS: u32 = 3;
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct EcsInstances {
    pub(super) template: TaskTemplate,
    /// What a task is paid for.
    pub(super) size: InstanceSize,
    pub(super) owner: Owner,
    pub(super) monitor: Arc<TaskMonitor>,
    pub(super) providers: Arc<Mutex<ProviderUse>>,
    /// The log of its tasks, if that is CloudWatch Logs.
    #[cfg(feature = "cloudwatch-logs")]
    pub(super) log: Option<Arc<TaskLog>>,
    pub(super) boot_timeout: Duration,
    /// The longest time that a task may live from its launch, if the pool limits it.
    pub(super) max_age: Option<Duration>,
    /// The tasks that run the monitor and the sweeper.
    pub(super) background: Vec<JoinHandle<()>>,
}

impl Drop for EcsInstances {
    fn drop(&mut self) {
        self.background.iter().for_each(JoinHandle::abort);
        self.monitor.stop_all();
    }
}

impl EcsInstances {
    async fn boot(&self, spec: &BootSpec) -> Result<Instance, BootFailure> {
        let deadlines = BootDeadlines::new(Instant::now(), self.boot_timeout);
        let mut attempt = RunTaskAttempt::new(deadlines.request.into_std(), RUN_TASK_BACKOFF);
        let _launching = self.monitor.begin_launch(spec.runner);
        let providers = ProviderAssignment::new(&self.providers, &self.template, spec.runner);
        let ends_by = ends_by(self.max_age);
        let mut action = attempt.begin();
        loop {
            let event = match action {
                Action::RunTask { token } => {
                    let attempt = (token, providers.attempt(token));
                    let (template, owner) = (&self.template, &self.owner);
                    let flame_parent = &spec.flame_parent;
                    let request = RunTaskRequest::new(
                        template,
                        owner,
                        spec.runner,
                        attempt,
                        ends_by,
                        flame_parent,
                    );
                    request.overrides.check().map_err(BootFailure::new)?;
                    self.run_task(request, deadlines.response).await
                }
                Action::Wait(until) => {
                    sleep_until(until.into()).await;
                    Event::Waited
                }
                Action::LookUp(arns) => {
                    match timeout_at(deadlines.look_up, self.look_up(spec, arns)).await {
                        Ok(event) => event,
                        Err(_) => Event::LookUpFailed(no_response("the boot ran out of time")),
                    }
                }
                Action::Done(arn) => {
                    self.monitor.insert(&arn);
                    let instance = Instance::new(arn);
                    providers.keep_until(self.monitor.tasks.watch(&instance));
                    return Ok(instance);
                }
                Action::Fail(failure) => return Err(failure),
            };
            if let Event::Error(error, _) = &event {
                tracing::debug!(runner = %spec.runner, %error, "RunTask failed");
            }
            action = attempt.next(now(), event, rand::random());
        }
    }

    /// Calls RunTask, and waits for the response until `deadline`.
    async fn run_task(&self, request: RunTaskRequest, deadline: Instant) -> Event {
        if timeout_at(deadline, self.monitor.api.acquire_launch()).await.is_err() {
            return Event::RateLimited;
        }
        match timeout_at(deadline, self.monitor.api.run_task(&self.template, request)).await {
            Ok(event) => event,
            Err(_) => {
                Event::Error(no_response("ECS did not respond in the boot's time"), Vec::new())
            }
        }
    }

    /// Looks for the runner's task by its tag, among these tasks or, if there are none, among all
    /// tasks of the pool.
    async fn look_up(&self, spec: &BootSpec, arns: Vec<String>) -> Event {
        let runner = spec.runner.to_string();
        let is_its = |task: &&Task| task.tags.get(RUNNER_TAG) == Some(&runner) && !task.is_over();
        for attempt in 1..=LOOKUP_ATTEMPTS {
            if attempt > 1 {
                sleep(LOOKUP_PAUSE).await;
            }
            let listed = match arns.is_empty() {
                false => Ok(arns.clone()),
                true => self.monitor.api.started_by(&self.owner.started_by()).await,
            };
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) if attempt == LOOKUP_ATTEMPTS => return Event::LookUpFailed(error),
                Err(_) => continue,
            };
            for batch in listed.chunks(MAX_BATCH) {
                match self.monitor.api.describe(batch, true).await {
                    Ok((tasks, _)) => {
                        if let Some(task) = tasks.iter().find(is_its) {
                            return Event::Found(Some(task.arn.clone()));
                        }
                    }
                    Err(error) if attempt == LOOKUP_ATTEMPTS => return Event::LookUpFailed(error),
                    Err(_) => break,
                }
            }
        }
        Event::Found(None)
    }
}

impl Instances for EcsInstances {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move { self.boot(&spec).await }.boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.monitor.stop(&instance.id, "flame: stopped by its pool").boxed()
    }

    #[cfg(not(feature = "cloudwatch-logs"))]
    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.monitor.tasks.watch(instance)
    }

    #[cfg(feature = "cloudwatch-logs")]
    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let death = self.monitor.tasks.watch(instance);
        let Some(log) = self.log.clone() else { return death };
        let task = instance.clone();
        log.begin_boot(&task);
        async move { log.complete(&task, death.await).await }.boxed()
    }

    #[cfg(feature = "cloudwatch-logs")]
    fn notify(&self, instance: &Instance, event: InstanceEvent) {
        if let (Some(log), InstanceEvent::Connected) = (&self.log, event) {
            log.end_boot(instance);
        }
    }

    fn size(&self) -> InstanceSize {
        self.size
    }

    fn boot_times(&self, instance: &Instance) -> BoxFuture<'static, BootTimes> {
        let (monitor, arn) = (self.monitor.clone(), instance.id.clone());
        async move { monitor.boot_times(&arn).await }.boxed()
    }
}

/// The capacity providers of one runner. While this lives, the runner counts as one of theirs.
struct ProviderAssignment {
    providers: Arc<Mutex<ProviderUse>>,
    runner: RunnerRef,
    /// In the order in which the runner tries them.
    order: Vec<String>,
}

impl ProviderAssignment {
    fn new(
        providers: &Arc<Mutex<ProviderUse>>,
        template: &TaskTemplate,
        runner: RunnerRef,
    ) -> Self {
        let order = providers.lock().assign(&template.providers, runner);
        Self { providers: providers.clone(), runner, order }
    }

    /// The provider to try with a client token; `None` is the launch type FARGATE.
    fn attempt(&self, token: u32) -> Option<String> {
        let provider = self.order.get(token as usize % self.order.len().max(1))?;
        self.providers.lock().moved(self.runner, provider);
        Some(provider.clone())
    }

    /// The runner counts until its task has died.
    fn keep_until(self, death: BoxFuture<'static, Death>) {
        if !self.order.is_empty() {
            tokio::spawn(async move {
                death.await;
                drop(self);
            });
        }
    }
}

impl Drop for ProviderAssignment {
    fn drop(&mut self) {
        self.providers.lock().forget(self.runner);
    }
}

/// The deadlines of a boot's steps. All are before the boot timeout, since the pool gives up a late
/// boot without learning its reason.
struct BootDeadlines {
    /// RunTask is not called after this: a task that is launched later could not connect in time.
    request: Instant,
    /// The response to RunTask is not waited for after this.
    response: Instant,
    /// The task is not looked up after this.
    look_up: Instant,
}

impl BootDeadlines {
    fn new(begun: Instant, boot_timeout: Duration) -> Self {
        let after = |parts: u32| begun + boot_timeout / 32 * parts;
        Self { request: after(24), response: after(28), look_up: after(31) }
    }
}

fn no_response(message: &str) -> ApiError {
    ApiError { message: message.to_owned(), ..ApiError::new(ApiErrorKind::NoResponse) }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::backend::BootFailureKind;

    /// The pool gives up a boot at its timeout without learning the reason, so the requests and the
    /// look-up after them must end before that.
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_never_responds_fails_the_boot_in_time_with_the_reason() {
        for boot_timeout in [1, 10, 20, 35, 120].map(Duration::from_secs) {
            let instances = testing::silent_ecs(boot_timeout).await;
            let spec = testing::spec();
            let begun = Instant::now();
            let failure = tokio::time::timeout(boot_timeout, instances.boot(&spec))
                .await
                .unwrap_or_else(|_| panic!("the boot takes longer than {boot_timeout:?}"))
                .unwrap_err();
            assert_eq!(failure.kind, BootFailureKind::Unavailable, "{failure}");
            assert!(failure.reason.contains("can reach AWS"), "{failure}");
            assert!(failure.reason.contains("could not be looked up"), "{failure}");
            assert!(begun.elapsed() > boot_timeout / 2, "RunTask is retried while there is time");
        }
    }

    /// The pool waits 30 s for a stop, and does not learn the reason of a failure after that.
    #[tokio::test(start_paused = true)]
    async fn a_stop_without_a_response_fails_in_time_with_the_reason() {
        let instances = testing::silent_ecs(Duration::from_secs(120)).await;
        let task = Instance::new("arn:aws:ecs:eu-central-1:1:task/main/1");
        instances.monitor.insert(&task.id);
        let stop = instances.stop(&task);
        let stopped = tokio::time::timeout(Duration::from_secs(30), stop).await;
        let error = stopped.expect("the stop ends in time").unwrap_err().to_string();
        assert!(error.contains("StopTask") && error.contains("can reach AWS"), "{error}");
    }
}
