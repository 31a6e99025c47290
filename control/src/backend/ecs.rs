//! Runners as ECS tasks on Fargate.
//!
//! ```text
//!  builder, environment, own task ──▶ plan ── init: does all fit? ──▶ Ecs
//!
//!  remote_boot ──▶ order ──▶ request ──▶ api: RunTask ──▶ fleet.insert
//!                  (pure)    (pure)
//!  watch, stop ──▶ fleet ──▶ poller ──▶ api: DescribeTasks, for all tasks at once
//!                            (pure)
//!  a timer ─────▶ sweeper ─▶ sweep ──▶ api: StopTask of orphans
//!                            (pure)
//! ```
//!
//! What RunTask's failures mean is in `classify`, how a task ended in `task`, which sizes there are
//! in `fargate`. `api` is the only file with types of the SDK.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flame_runner_shim::host::ecs::{EcsContainer, EcsTask};
use flame_wire::entropy;
use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::aws::address;
use super::aws::class::{self, Class};
use super::aws::fault::{Fault, Got};
use super::aws::pace::Pace;
use super::aws::sdk;
use super::aws::settings::Settings;
use super::process::until_dead;
use super::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use crate::error::BootFailure;

mod api;
mod builder;
mod classify;
mod doubts;
mod fargate;
mod fleet;
mod order;
mod plan;
mod poller;
mod request;
mod sweep;
mod sweeper;
mod task;
#[cfg(test)]
mod testing;

use api::Api;
pub use builder::EcsBuilder;
use builder::Sweeping;
use doubts::{Setup, doubts};
use fleet::{Fleet, now};
use order::{Heard, Order, Step};
use plan::{Definition, Home, Plan, refusal};
use poller::Every;
use request::{Asker, Request};
use sweep::Rule;
use sweeper::{Sweeper, wall_clock};

/// The pauses of an order.
const ORDER_PACE: Pace =
    Pace { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// The pauses, and the tries, of what is asked at a pool's start.
const START_PACE: Pace =
    Pace { first: Duration::from_millis(250), longest: Duration::from_secs(2) };
const START_TRIES: u32 = 5;
/// How often a task whose order was not answered is looked for: lists lag behind.
const LOOKS: u32 = 3;
const LOOK_PAUSE: Duration = Duration::from_secs(1);

#[doc = include_str!("ecs/README.md")]
#[derive(Clone)]
pub struct Ecs {
    builder: Arc<EcsBuilder>,
    running: Arc<OnceLock<Running>>,
}

impl std::fmt::Debug for Ecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ecs").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// What there is once a pool has started.
struct Running {
    plan: Plan,
    asker: Asker,
    fleet: Arc<Fleet>,
    boot_timeout: Duration,
    /// From its order: the longest that a runner may live, if that is limited.
    longest: Option<Duration>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.fleet.abandon();
    }
}

impl Ecs {
    /// Options; see [`EcsBuilder`].
    pub fn builder() -> EcsBuilder {
        EcsBuilder::default()
    }

    /// All from the environment: FLAME_ECS_CLUSTER and the others of [`EcsBuilder`], FLAME_AWS, and
    /// the task that this process runs in, if it does.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    fn new(builder: EcsBuilder) -> Self {
        Self { builder: Arc::new(builder), running: Arc::default() }
    }

    fn running(&self) -> Option<&Running> {
        self.running.get()
    }

    async fn start(&self, pool: &PoolInfo) -> Result<(), BackendError> {
        sdk::check_roots(self.builder.sdk.as_ref()).await?;
        let settings = Settings::read("ecs", plan::NAMES, |name| std::env::var(name).ok())?;
        let config = self.sdk_config(&settings).await;
        let mut home = home().await;
        if let Some(home) = &mut home
            && self.builder.subnets.is_empty()
            && settings.list("subnets").is_empty()
        {
            home.subnets = own_subnets(&config, home).await;
        }
        let mut wrong = Vec::new();
        let mut plan = Plan::resolve(&self.builder, &settings, home.as_ref(), &mut wrong);
        if config.region().is_none() {
            wrong.push(
                "`region` is missing: set `.region(..)`, AWS_REGION, or a region in the profile"
                    .to_owned(),
            );
        }
        let endpoint = address::endpoint(&config, "ECS", |name| std::env::var(name).ok());
        let address = address::check(&pool.address, endpoint.as_deref(), "ECS task");
        wrong.extend(address.err().map(|error| error.to_string()));
        refusal(wrong)?;

        let api = Api::new(&config, &plan.cluster);
        let definition = fit(&mut plan, &api, pool.shutdown_timeout).await?;
        let mut containers = definition.iter().flat_map(|definition| &definition.containers);
        let own = containers.find(|own| own.name == plan.container);
        let (on_ecs, max_lifetime) = (home.is_some(), pool.max_lifetime);
        for doubt in doubts(&Setup { plan: &plan, container: own, on_ecs, max_lifetime }) {
            tracing::warn!(pool = pool.name, "{doubt}");
        }
        let log = own.and_then(|own| own.log.clone());
        let family = definition.map_or_else(|| family_of(&plan.task_definition), |it| it.family);
        // Of no other parent, in no other process: its sweeps take what has this id for its own.
        let id = entropy::fresh().map_err(|error| BackendError::new(error.to_string()))?;
        let asker = Asker {
            pool: request::plain(&pool.name),
            parent: format!("p-{:032x}", u128::from_le_bytes(id)),
            task: home.map(|home| home.task),
        };
        let every = self
            .builder
            .every
            .unwrap_or(Every { booting: Duration::from_secs(1), up: Duration::from_secs(5) });
        let fleet = Fleet::new(api, plan.container.clone(), log, every);
        let mut tasks = vec![tokio::spawn(fleet.clone().keep_watch())];
        if let Sweeping::Every { every, age } = self.builder.sweep {
            let (pool, parent) = (asker.pool.clone(), asker.parent.clone());
            let rule = Rule { pool, parent, age, pause: every };
            let sweeper = Sweeper::new(fleet.clone(), family, rule);
            tasks.push(tokio::spawn(sweeper.keep_sweeping()));
        }
        let longest =
            pool.max_lifetime.map(|life| pool.boot_timeout + life + pool.shutdown_timeout);
        let boot_timeout = pool.boot_timeout;
        let running = Running { plan, asker, fleet, boot_timeout, longest, tasks };
        self.running.set(running).map_err(|_| {
            BackendError::new("an ECS backend serves one pool: give each pool its own")
        })
    }

    async fn sdk_config(&self, settings: &Settings) -> aws_config::SdkConfig {
        let region = self.builder.region.clone().or_else(|| settings.text("region"));
        let endpoint = self.builder.endpoint.clone().or_else(|| settings.text("endpoint_url"));
        let overrides = sdk::Overrides { region, endpoint };
        match self.builder.sdk.clone() {
            Some(config) => overrides.apply(config),
            None => sdk::load(&overrides, Some(api::ATTEMPT)).await,
        }
    }
}

impl Running {
    async fn boot(&self, spec: &BootSpec) -> Result<Instance, BootFailure> {
        let limits = Limits::of(Instant::now(), self.boot_timeout);
        let mut order = Order::new(limits.ask.into_std(), ORDER_PACE);
        let _ordered = self.fleet.order(spec.runner);
        let ends_by = self
            .longest
            .and_then(|longest| wall_clock().checked_add(i64::try_from(longest.as_secs()).ok()?));
        let mut step = order.begin();
        loop {
            let heard = match step {
                Step::Ask { token } => {
                    let (plan, asker) = (&self.plan, &self.asker);
                    let parent = &spec.flame_parent;
                    let request = Request::new(plan, asker, spec.runner, token, ends_by, parent);
                    request.overrides.check().map_err(BootFailure::new)?;
                    self.ask(request, limits.answer).await
                }
                Step::Wait(until) => {
                    sleep_until(until.into()).await;
                    Heard::Waited
                }
                Step::LookUp(known) => {
                    match timeout_at(limits.look, self.look_up(spec, known)).await {
                        Ok(heard) => heard,
                        Err(_) => Heard::LookUpFailed(late("the boot's time was over")),
                    }
                }
                Step::Done(arn) => {
                    self.fleet.insert(&arn);
                    return Ok(Instance::new(arn));
                }
                Step::Fail(failure) => return Err(failure),
            };
            if let Heard::Fault(fault, _) = &heard {
                tracing::debug!(runner = %spec.runner, %fault, "RunTask failed");
            }
            step = order.next(now(), heard, rand::random());
        }
    }

    /// Asks for a task, and waits for the answer no longer than `until`.
    async fn ask(&self, request: Request, until: Instant) -> Heard {
        if timeout_at(until, self.fleet.api.turn_to_launch()).await.is_err() {
            return Heard::NoTurn;
        }
        match timeout_at(until, self.fleet.api.run_task(&self.plan, request)).await {
            Ok(heard) => heard,
            Err(_) => Heard::Fault(late("no answer came in the boot's time"), Vec::new()),
        }
    }

    /// Looks for the task of an order, by its tag.
    async fn look_up(&self, spec: &BootSpec, known: Vec<String>) -> Heard {
        let runner = spec.runner.to_string();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(LOOK_PAUSE).await;
            }
            let arns = match known.is_empty() {
                false => Ok(known.clone()),
                true => self.fleet.api.started_by(&self.asker.started_by()).await,
            };
            let arns = match arns {
                Ok(arns) => arns,
                Err(fault) if look + 1 == LOOKS => return Heard::LookUpFailed(fault),
                Err(_) => continue,
            };
            for batch in arns.chunks(poller::BATCH) {
                match self.fleet.api.describe(batch, true).await {
                    Ok((tasks, _)) => {
                        let is_its = |task: &&task::Task| {
                            task.tags.get(sweep::RUNNER) == Some(&runner) && !task.is_over()
                        };
                        if let Some(task) = tasks.iter().find(is_its) {
                            return Heard::Found(Some(task.arn.clone()));
                        }
                    }
                    Err(fault) if look + 1 == LOOKS => return Heard::LookUpFailed(fault),
                    Err(_) => break,
                }
            }
        }
        Heard::Found(None)
    }
}

/// Until when a boot may do what. All of it ends before the boot's time does: the pool gives up what
/// is late, and the reason with it.
struct Limits {
    /// No task is asked for later: one that is ordered at the very end could not dial home in time.
    ask: Instant,
    /// No answer to that is waited for later.
    answer: Instant,
    /// Nothing is looked up later.
    look: Instant,
}

impl Limits {
    fn of(begun: Instant, boot_timeout: Duration) -> Self {
        let share = |parts: u32| begun + boot_timeout / 32 * parts;
        Self { ask: share(24), answer: share(28), look: share(31) }
    }
}

/// That ECS did not answer in time.
fn late(why: &str) -> Fault {
    Fault { message: why.to_owned(), ..Fault::new(Got::NoAnswer) }
}

/// The task that this process runs in. One that can't be read is none: what it would have told
/// may be set, and is missed where it is not.
async fn home() -> Option<Home> {
    if !EcsTask::runs_on_ecs() {
        return None;
    }
    match (EcsTask::read().await, EcsContainer::read().await) {
        (Ok(task), container) => Some(Home {
            task_definition: task.definition(),
            cluster: task.cluster,
            task: task.arn,
            container: container.ok().map(|container| container.name),
            subnets: Vec::new(),
        }),
        (Err(error), _) => {
            tracing::warn!(%error, "the defaults of this process's own ECS task are not known");
            None
        }
    }
}

/// The subnets of the task that this process runs in. No metadata tells them, but ECS does.
async fn own_subnets(config: &aws_config::SdkConfig, home: &Home) -> Vec<String> {
    if config.region().is_none() {
        return Vec::new();
    }
    let api = Api::new(config, &home.cluster);
    match patiently(|| api.subnets_of(&home.task)).await {
        Ok(subnets) => subnets,
        Err(fault) => {
            tracing::warn!(%fault, "the subnet of this process's own ECS task is not known");
            Vec::new()
        }
    }
}

/// Completes the plan by what ECS says, and refuses one that does not fit; the task definition, if it
/// may be read.
async fn fit(
    plan: &mut Plan,
    api: &Api,
    shutdown: Duration,
) -> Result<Option<Definition>, BackendError> {
    let mut wrong = Vec::new();
    wrong.extend(check_cluster(api, &plan.cluster).await?.err());
    let definition = match ask_definition(api, &plan.task_definition).await? {
        Ok(definition) => {
            plan.fit(definition.as_ref(), shutdown, &mut wrong);
            definition
        }
        Err(why) => {
            wrong.push(why);
            None
        }
    };
    refusal(wrong).map(|()| definition)
}

/// What ECS says of a setting, or what is wrong with it. It is an error where ECS can't be asked: no
/// other question would be answered either.
type Said<T> = Result<Result<T, String>, BackendError>;

async fn check_cluster(api: &Api, cluster: &str) -> Said<()> {
    match patiently(|| api.cluster_status()).await {
        Ok(Some(status)) if status == "ACTIVE" => Ok(Ok(())),
        Ok(Some(status)) => Ok(Err(format!(
            "the ECS cluster `{cluster}` is {status}, not ACTIVE: create it anew, or name another"
        ))),
        Ok(None) => Ok(Err(format!(
            "there is no ECS cluster `{cluster}` in this account and region: correct `cluster` \
             (FLAME_ECS_CLUSTER), or the region (AWS_REGION)"
        ))),
        Err(fault) => tolerate_denial("the ECS cluster", "ecs:DescribeClusters", fault).map(Ok),
    }
}

/// `None` where it may not be looked at.
async fn ask_definition(api: &Api, name: &str) -> Said<Option<Definition>> {
    match patiently(|| api.definition(name)).await {
        Ok(definition) => Ok(Ok(Some(definition))),
        Err(fault) if fault.code.as_deref() == Some("ClientException") => Ok(Err(format!(
            "there is no task definition `{name}` in this account and region: correct \
             `task_definition` (FLAME_ECS_TASK_DEFINITION), or register it ({fault})"
        ))),
        Err(fault) => {
            tolerate_denial("the task definition", "ecs:DescribeTaskDefinition", fault)?;
            Ok(Ok(None))
        }
    }
}

/// What may not be looked at is not checked.
fn tolerate_denial(what: &str, action: &str, fault: Fault) -> Result<(), BackendError> {
    if class::is_denied(&fault) {
        tracing::warn!(%fault, "{what} is not checked before the first boot: allow {action}");
        return Ok(());
    }
    let advice = classify::advice(classify::of_fault(&fault), &fault);
    Err(BackendError::new(format!("{what} can't be looked at: {fault}; {advice}")))
}

/// Repeats what only looks, a few times.
async fn patiently<T, F: Future<Output = Result<T, Fault>>>(
    ask: impl Fn() -> F,
) -> Result<T, Fault> {
    let mut failed = 0;
    loop {
        match ask().await {
            Err(fault)
                if matches!(classify::of_fault(&fault), Class::Throttled | Class::Transient)
                    && failed + 1 < START_TRIES =>
            {
                failed += 1;
                sleep(START_PACE.pause(failed, rand::random())).await;
            }
            answer => return answer,
        }
    }
}

/// The family in `family`, `family:revision` or an ARN.
fn family_of(definition: &str) -> String {
    let name = definition.rsplit_once('/').map_or(definition, |(_, name)| name);
    name.split_once(':').map_or(name, |(family, _)| family).to_owned()
}

impl Backend for Ecs {
    fn kind(&self) -> HostKind {
        HostKind::Ecs
    }

    /// 120 s: a large image takes a minute on a bad day.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// The private address of the task, or of the EC2 instance, that this process runs in.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        address::of_this_process().boxed()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        self.start(pool).boxed()
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            match self.running() {
                Some(running) => running.boot(&spec).await,
                None => Err(BootFailure::new("the ECS backend was asked to boot before `init`")),
            }
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            match self.running() {
                Some(running) => running.fleet.stop(&instance.id, "flame: its pool ends it").await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        until_dead(self.running().and_then(|running| running.fleet.death(&instance.id))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BootFailureKind;

    #[test]
    fn a_family_is_found_in_every_way_to_name_a_task_definition() {
        for name in ["app", "app:7", "arn:aws:ecs:eu-central-1:1:task-definition/app:7"] {
            assert_eq!(family_of(name), "app", "{name}");
        }
    }

    /// Where requests are taken and never answered, neither the orders nor the look after them may
    /// last longer than the boot: its pool would give it up, and nobody would learn why.
    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_never_answers_fails_the_boot_in_time_with_the_true_reason() {
        for boot_timeout in [1, 10, 20, 35, 120].map(Duration::from_secs) {
            let running = testing::running_on_silence(boot_timeout).await;
            let spec = testing::spec();
            let begun = tokio::time::Instant::now();
            let failure = tokio::time::timeout(boot_timeout, running.boot(&spec))
                .await
                .unwrap_or_else(|_| panic!("it outlives {boot_timeout:?}"))
                .unwrap_err();
            assert_eq!(failure.kind, BootFailureKind::Unavailable, "{failure}");
            assert!(failure.reason.contains("reaches AWS"), "{failure}");
            assert!(failure.reason.contains("could not be found out"), "{failure}");
            assert!(begun.elapsed() > boot_timeout / 2, "it is tried while there is time");
        }
    }

    /// A pool gives a stop 30 s, and learns nothing of one that takes longer.
    #[tokio::test(start_paused = true)]
    async fn a_stop_that_is_never_answered_fails_in_time_with_the_reason() {
        let running = testing::running_on_silence(Duration::from_secs(120)).await;
        running.fleet.insert("arn:aws:ecs:eu-central-1:1:task/main/1");
        let stop = running.fleet.stop("arn:aws:ecs:eu-central-1:1:task/main/1", "test");
        let stopped = tokio::time::timeout(Duration::from_secs(30), stop).await;
        let error = stopped.expect("it ends in time").unwrap_err().to_string();
        assert!(error.contains("StopTask") && error.contains("reaches AWS"), "{error}");
    }

    #[test]
    fn what_is_shown_of_a_backend_holds_nothing_of_its_environment() {
        let backend = Ecs::builder().cluster("main").env("DB_PASSWORD", "hunter2").build();
        assert!(!format!("{backend:?}").contains("hunter2"));
    }
}
