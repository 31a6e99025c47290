//! Runners as invocations of a Lambda function whose code is the app itself.
//!
//! ```text
//! remote_boot ──▶ a task: Invoke ── 429: later; no answer: once more ──▶ Lambda ──▶ runner
//!                   │                                                        │
//!                   └◀── the answer, when the invocation has ended: its death ┘
//! invocation.rs decides    outcome.rs, refusal.rs say what answers mean   function.rs looks at it
//! driver.rs carries out    client.rs asks Lambda                          settings.rs: the app's
//! ```
//!
//! Invariants:
//! - No runner is booted twice: the SDK retries nothing, and what is repeated here has a token that
//!   lets one runner in.
//! - Each invocation is seen to its end, or given up by name; none is waited for without end.
//! - FLAME_PARENT is in the event alone: in no name, log line or `Debug`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_runner_shim::host::lambda as runner;
use flame_wire::parent::{HostKind, RunnerLimits};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::aws::address;
use super::aws::class::{Class, is_denied};
use super::aws::fault::Fault;
use super::aws::pace::Pace;
use super::aws::sdk;
use super::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceEvent, Instances,
    PoolInfo,
};

mod client;
mod driver;
mod function;
mod invocation;
mod outcome;
mod refusal;
mod settings;

use client::Client;
use driver::{Invocations, Order};
use function::{Delivery, Seen};
use invocation::{Event, Invocation};
use settings::Plan;

pub use settings::LambdaBuilder;

/// For one request of the pool's start.
const PATIENCE: Duration = Duration::from_secs(10);
/// From an invocation's start until its runner is with the pool, on a bad day.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// How often it is asked, and how long to wait in between.
const LOOKS: u32 = 4;
const PACE: Pace = Pace { first: Duration::from_millis(250), longest: Duration::from_secs(2) };

/// How Lambda is asked for a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Invoked {
    /// By a request that is answered when the invocation ends. The default: a throttle is known at
    /// once, and the answer tells of the runner's end.
    #[default]
    RequestResponse,
    /// By an event that Lambda queues. No connection is held, but a crash is known only when the
    /// link is lost for the pool's `reconnect_timeout`, and Lambda may deliver an event late, or twice.
    Event,
}

/// Which function.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    /// A name, or an ARN.
    function: String,
    /// A version, or an alias.
    qualifier: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Lambda function `{}", self.function)?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{qualifier}`"),
            None => f.write_str("`"),
        }
    }
}

#[doc = include_str!("lambda/README.md")]
#[derive(Clone)]
pub struct Lambda {
    options: LambdaBuilder,
}

/// The invocations of one pool.
struct Running {
    client: Client,
    how: Invoked,
    /// For people.
    function: String,
    /// The function's, if it is known.
    timeout: Option<Duration>,
    /// The pool's.
    boot_timeout: Duration,
    /// How a runner ends that nobody can stop.
    by_itself: String,
    invocations: Invocations,
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lambda").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Lambda {
    /// A backend whose settings are those of the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    /// The options of a backend; what is not set comes from the environment.
    pub fn builder() -> LambdaBuilder {
        LambdaBuilder::default()
    }

    async fn prepare(&self, pool: &PoolInfo) -> Result<Running, BackendError> {
        let variable = |name: &str| std::env::var(name).ok();
        let plan = self.options.plan(variable)?;
        plan.refuse_itself(crate::is_runner(), variable)?;
        sdk::check_roots(self.options.sdk.as_ref()).await?;
        let config = match self.options.sdk.clone() {
            Some(config) => plan.overrides.apply(config),
            None => sdk::load(&plan.overrides, Some(PATIENCE)).await,
        };
        if config.region().is_none() {
            return Err(BackendError::new(
                "no AWS region is set for the Lambda backend: set AWS_REGION, or give it one by \
                 `Lambda::builder().region(..)`",
            ));
        }
        let endpoint = address::endpoint(&config, "LAMBDA", variable);
        address::check(&pool.address, endpoint.as_deref(), "Lambda function")?;
        let Plan { target, how, .. } = plan;
        let function = target.to_string();
        let client = Client::new(&config, target)?;
        let timeout = match look(&client).await {
            Ok(seen) => self.judge(&function, &seen)?,
            Err(fault) if is_denied(&fault) => {
                tracing::warn!(
                    "{function} can't be looked at ({fault}), so what is wrong with it shows at \
                     the first boot; give this process `lambda:GetFunctionConfiguration`"
                );
                None
            }
            Err(fault) => {
                let refusal = refusal::Refusal { fault, throttle: None };
                let region = client.region().unwrap_or_default();
                let why = refusal.death(&function, 1).reason;
                return Err(BackendError::new(format!("{why} (region {region})")));
            }
        };
        if how == Invoked::Event {
            match client.delivery().await.map(Delivery::warning) {
                Ok(Some(warning)) => tracing::warn!("{function}: {warning}"),
                Ok(None) => {}
                // It may not ask, and need not: nothing goes wrong where events come again.
                Err(fault) => {
                    tracing::debug!("{function}: what becomes of events is unknown: {fault}")
                }
            }
        }
        Ok(Running {
            client,
            how,
            function,
            timeout,
            boot_timeout: pool.boot_timeout,
            by_itself: by_itself(pool, timeout),
            invocations: Invocations::default(),
        })
    }

    fn judge(&self, function: &str, seen: &Seen) -> Result<Option<Duration>, BackendError> {
        let found = function::check(seen);
        for warning in &found.warnings {
            tracing::warn!("{function}: {warning}");
        }
        if found.errors.is_empty() {
            return Ok(seen.timeout);
        }
        let errors = found.errors.join("; and ");
        Err(BackendError::new(format!("{function} can't be a runner: {errors}")))
    }
}

/// Asks for the function's configuration, again where that may help.
async fn look(client: &Client) -> Result<Seen, Fault> {
    let mut looks = 1;
    loop {
        match client.function().await {
            Ok(seen) => return Ok(seen),
            Err(fault) => {
                let passes = matches!(
                    Class::of(&fault),
                    Class::Throttled | Class::Transient | Class::Capacity
                );
                if !passes || looks == LOOKS {
                    return Err(fault);
                }
                tokio::time::sleep(PACE.pause(looks, rand::random())).await;
                looks += 1;
            }
        }
    }
}

impl Backend for Lambda {
    fn kind(&self) -> HostKind {
        HostKind::Lambda
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// A function can't execute a file that it has written.
    fn supports_code_sync(&self) -> bool {
        false
    }

    fn connection_advice(&self) -> Option<&str> {
        Some(address::CONNECTION_ADVICE)
    }

    /// The private address of the EC2 instance that this process runs in, or, with the feature
    /// `ecs`, of its task.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        address::of_this_process().boxed()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move { Ok(Arc::new(self.prepare(&pool).await?) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for Running {
    /// Returns at once; whatever Lambda says to the request is the instance's death.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let event = runner::Event::new(spec.flame_parent);
            let event =
                serde_json::to_vec(&event).map_err(|error| BootFailure::new(error.to_string()))?;
            let instance = Instance::new(runner::instance_of(spec.runner));
            let by_itself = self.by_itself.clone();
            let invocation = Invocation::new(now(), &self.function, self.boot_timeout, by_itself);
            let client = self.client.clone();
            let order = Order { client, how: self.how, event, timeout: self.timeout };
            self.invocations.begin(instance.clone(), order, invocation);
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.invocations.tell(instance, Event::Stop);
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.invocations.watch(instance)
    }

    /// What a fresh invocation has until its runner drains, less a little for its way to the pool.
    fn longest_call(&self) -> Option<Duration> {
        let timeout = self.timeout.unwrap_or(function::LONGEST);
        let margin = Duration::from_millis(RunnerLimits::default().host_margin_ms);
        Some(timeout.saturating_sub(margin + ON_ITS_WAY))
    }

    fn notify(&self, instance: &Instance, event: InstanceEvent) {
        self.invocations.tell(instance, Event::Seen(event));
    }
}

/// How a runner ends that nobody can stop.
fn by_itself(pool: &PoolInfo, timeout: Option<Duration>) -> String {
    let alone = pool.boot_timeout.max(pool.reconnect_timeout);
    let timeout = match timeout {
        Some(timeout) => format!(", {timeout:?} after it began"),
        None => String::new(),
    };
    format!(
        "it ends by itself: when it dials and is refused, or after {alone:?} without its parent, at \
         the latest at the function's timeout{timeout}"
    )
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
