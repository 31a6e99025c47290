//! Runners as invocations of a Lambda function whose code is the app itself.
//!
//! ```text
//! remote_boot ──▶ a task: Invoke ── 429: retried; no response: repeated once ──▶ Lambda ──▶ runner
//!                   │                                                             │
//!                   └◀────── the response, when the invocation ends: its death ───┘
//!
//! invocation      decides; pure                     function   checks the function; pure
//! outcome         what a response means; pure       settings   the builder and the environment
//! invoke_failure  what an error means; pure         client     Lambda's API without the SDK's types
//!                                                   driver     carries out what invocation decides
//! ```
//!
//! Invariants:
//! - No runner is booted twice: the SDK's retries are off, and a repeated request has the same
//!   token, which admits one runner.
//! - Each invocation is watched until it ends, or is given up, which the log reports. No invocation
//!   is waited for without a limit.
//! - FLAME_PARENT is only in the event: in no name, log line or `Debug`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flame_runner_shim::host::lambda as runner;
use flame_wire::backoff::Backoff;
use flame_wire::parent::{HostKind, RunnerLimits};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::aws::api_error::ApiError;
use super::aws::error_class::{ErrorClass, is_denied};
use super::aws::sdk;
use super::aws::{address, jittered_backoff};
use super::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceEvent, Instances,
    PoolInfo,
};
use crate::cost::InstanceSize;
use crate::size::Size;

mod client;
mod driver;
mod function;
mod invocation;
mod invoke_failure;
mod outcome;
mod settings;

use client::Client;
use driver::{Invocations, InvokeRequest};
use function::{EventDelivery, FunctionConfig};
use invocation::{Event, Invocation};
use invoke_failure::InvokeFailure;
use settings::LambdaSettings;

pub use settings::LambdaBuilder;

/// The time limit of each request at a pool's start.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time from an invocation's start until its runner has connected, on a bad day.
const CONNECT_MARGIN: Duration = Duration::from_secs(2);
/// How often the function's configuration is requested, and the delays in between.
const CONFIG_ATTEMPTS: u32 = 4;
const CONFIG_BACKOFF: Backoff =
    jittered_backoff(Duration::from_millis(250), Duration::from_secs(2));

/// How a Lambda function is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum InvocationType {
    /// By a request whose response comes when the invocation ends. The default: throttling is known
    /// at once, and so is the runner's end.
    #[default]
    RequestResponse,
    /// By an event that Lambda queues. The request returns at once, so no connection is held, but a
    /// crash is known only when the pool's `reconnect_timeout` is over, and Lambda may deliver an
    /// event late, or twice.
    Event,
}

/// A function, and optionally a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FunctionRef {
    /// The function's name or ARN.
    name: String,
    /// A version or an alias.
    qualifier: Option<String>,
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Lambda function `{}", self.name)?;
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

/// The [`Instances`] of one pool.
struct LambdaInstances {
    client: Client,
    invocation_type: InvocationType,
    /// The function, as messages name it.
    function: String,
    /// The function's timeout, if it is known.
    timeout: Option<Duration>,
    size: InstanceSize,
    boot_timeout: Duration,
    /// A sentence that says how a runner ends after it was given up.
    how_it_ends: String,
    invocations: Invocations,
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lambda").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Lambda {
    /// A backend with all settings from the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::builder().build()
    }

    /// The options of a backend. Settings that are not set come from the environment.
    pub fn builder() -> LambdaBuilder {
        LambdaBuilder::default()
    }

    async fn prepare(&self, pool: &PoolInfo) -> Result<LambdaInstances, BackendError> {
        let variable = |name: &str| std::env::var(name).ok();
        let settings = self.options.resolve(variable)?;
        settings.reject_own_function(crate::is_runner(), variable)?;
        sdk::check_roots(self.options.sdk.as_ref()).await?;
        let config = match self.options.sdk.clone() {
            Some(config) => settings.overrides.apply(config),
            None => sdk::load(&settings.overrides, Some(REQUEST_TIMEOUT)).await,
        };
        if config.region().is_none() {
            return Err(BackendError::new(
                "the Lambda backend can't start: `region` is missing: set `.region(..)`, AWS_REGION, \
                 or a region in the profile",
            ));
        }
        let endpoint = address::endpoint(&config, "LAMBDA", variable);
        address::check(pool, endpoint.as_deref(), "Lambda function")?;
        let LambdaSettings { target, invocation: invocation_type, .. } = settings;
        let function = target.to_string();
        let client = Client::new(&config, target)?;
        let (timeout, size) = match function_config(&client).await {
            Ok(config) => (check(&function, &config, &pool.size)?, config.billed),
            Err(error) if is_denied(&error) => {
                tracing::warn!(
                    "this process may not read the configuration of {function} ({error}), so a \
                     wrong configuration shows only at the first boot; grant \
                     `lambda:GetFunctionConfiguration`"
                );
                (None, InstanceSize::Unknown)
            }
            Err(error) => {
                let failure = InvokeFailure { error, throttle: None };
                let region = client.region().unwrap_or_default();
                let reason = failure.death(&function, 1).reason;
                return Err(BackendError::new(format!("{reason} (region {region})")));
            }
        };
        if invocation_type == InvocationType::Event {
            match client.delivery().await.map(EventDelivery::warning) {
                Ok(Some(warning)) => tracing::warn!("{function}: {warning}"),
                Ok(None) => {}
                // Not worth a warning: redelivered events do no harm.
                Err(error) => {
                    tracing::debug!("{function}: the retries of events are unknown: {error}");
                }
            }
        }
        Ok(LambdaInstances {
            client,
            invocation_type,
            function,
            timeout,
            size,
            boot_timeout: pool.boot_timeout,
            how_it_ends: how_it_ends(pool, timeout),
            invocations: Invocations::default(),
        })
    }
}

/// Logs the warnings about a function, and returns its timeout unless there are errors.
fn check(
    function: &str,
    config: &FunctionConfig,
    size: &Size,
) -> Result<Option<Duration>, BackendError> {
    let findings = function::check(config, size);
    for warning in &findings.warnings {
        tracing::warn!("{function}: {warning}");
    }
    if findings.errors.is_empty() {
        return Ok(config.timeout);
    }
    let errors = findings.errors.join("; and ");
    Err(BackendError::new(format!("{function} can't be a runner: {errors}")))
}

/// Requests the function's configuration, and retries if that may help.
async fn function_config(client: &Client) -> Result<FunctionConfig, ApiError> {
    let mut attempts = 1;
    loop {
        match client.function().await {
            Ok(config) => return Ok(config),
            Err(error) => {
                let may_pass = matches!(
                    ErrorClass::of(&error),
                    ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::Capacity
                );
                if !may_pass || attempts == CONFIG_ATTEMPTS {
                    return Err(error);
                }
                tokio::time::sleep(CONFIG_BACKOFF.pause(attempts, rand::random())).await;
                attempts += 1;
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

    /// A function can't replace its process in the middle of an invocation. A function with a
    /// supervisor can, and its runners say so in their hello.
    fn supports_code_sync(&self) -> bool {
        false
    }

    fn connection_advice(&self) -> Option<&str> {
        Some(address::CONNECTION_ADVICE)
    }

    /// The private address of the EC2 instance or, with the feature `ecs`, of the ECS task that
    /// this process runs on.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        address::of_this_process().boxed()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move { Ok(Arc::new(self.prepare(&pool).await?) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for LambdaInstances {
    /// Returns at once. Lambda's response to the request is the instance's death.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let event = runner::Event::new(&spec.flame_parent);
            let event =
                serde_json::to_vec(&event).map_err(|error| BootFailure::new(error.to_string()))?;
            let instance = Instance::new(runner::instance_of(spec.runner));
            let how_it_ends = self.how_it_ends.clone();
            let invocation = Invocation::new(now(), &self.function, self.boot_timeout, how_it_ends);
            let request = InvokeRequest {
                client: self.client.clone(),
                invocation_type: self.invocation_type,
                event: event.into(),
                timeout: self.timeout,
            };
            self.invocations.start(instance.clone(), request, invocation);
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.invocations.handle(instance, Event::Stop);
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.invocations.watch(instance)
    }

    /// The time from an invocation's start until its runner drains, less the time to connect.
    fn longest_call(&self) -> Option<Duration> {
        let timeout = self.timeout.unwrap_or(function::MAX_TIMEOUT);
        let margin = Duration::from_millis(RunnerLimits::default().host_margin_ms);
        Some(timeout.saturating_sub(margin + CONNECT_MARGIN))
    }

    fn size(&self) -> InstanceSize {
        self.size
    }

    fn notify(&self, instance: &Instance, event: InstanceEvent) {
        self.invocations.handle(instance, Event::Instance(event));
    }
}

/// How a runner ends after it was given up, since Lambda can't stop it.
fn how_it_ends(pool: &PoolInfo, timeout: Option<Duration>) -> String {
    let without_parent = pool.boot_timeout.max(pool.reconnect_timeout);
    let timeout = match timeout {
        Some(timeout) => format!(", {timeout:?} after its start"),
        None => String::new(),
    };
    format!(
        "it ends by itself: when it connects and is rejected, or after {without_parent:?} without \
         its parent, at the latest at the function's timeout{timeout}"
    )
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
