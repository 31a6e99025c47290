//! Runners as invocations of a Lambda function whose code is the app itself.
//!
//! ```text
//! remote_boot ──▶ a task: Invoke ── 429: later; no answer: once more ──▶ Lambda ──▶ runner
//!                   │                                                        │
//!                   └◀── the answer, when the invocation has ended: its death ┘
//! invocation.rs decides    outcome.rs says what answers mean    function.rs looks at the function
//! driver.rs carries out    client.rs asks Lambda                settings.rs is told by the app
//! ```
//!
//! Invariants:
//! - No runner is booted twice: the SDK retries nothing, and what is repeated here has a token that
//!   lets one runner in.
//! - Each invocation is seen to its end, or given up by name; none is waited for without end.
//! - FLAME_PARENT is in the event alone: in no name, log line or `Debug`.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flame_runner_shim::host::lambda as runner;
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::aws::class::{Class, is_denied};
use super::aws::ec2;
use super::aws::fault::Fault;
use super::aws::pace::Pace;
use super::aws::sdk;
use super::{Backend, BackendError, BootSpec, Death, Heard, Instance, PoolInfo};
use crate::error::BootFailure;

mod client;
mod driver;
mod function;
mod invocation;
mod outcome;
mod settings;

use client::Client;
use driver::{Invocations, Order};
use function::Seen;
use invocation::{Event, Invocation};
use settings::Plan;

pub use settings::LambdaBuilder;

/// For one request of the pool's start.
const PATIENCE: Duration = Duration::from_secs(10);
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
    /// link is lost for the pool's `grace`, and Lambda may deliver an event late, or twice.
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

/// Boots runners as invocations of an AWS Lambda function. Needs the feature `lambda`.
///
/// The function's code is the app itself: the same executable, as the image's entry point, or as the
/// `bootstrap` of a zip for `provided.al2023`. One invocation is one runner, for as long as it lives:
/// up to 15 minutes. It dials the pool as every runner does, so arguments and results don't pass
/// through Lambda, and have none of its limits.
///
/// # Example
/// One `main` for the parent, its children on this machine, and the bootstrap on Lambda:
///
/// ```no_run
/// use std::net::Ipv4Addr;
///
/// use flame_aws::backend::Lambda;
/// use flame_aws::{App, Pool, remote};
///
/// #[derive(Clone)]
/// struct Db;
///
/// #[remote]
/// async fn thumbnails(video: String, #[state] db: Db) -> Vec<String> {
///     # let _ = (video, db);
///     Vec::new()
/// }
///
/// #[tokio::main]
/// async fn main() -> anyhow::Result<()> {
///     let db = Db; // on Lambda made once for an environment, and warm for the runners after the first
///     App::new().state(db).run(parent).await
/// }
///
/// async fn parent() -> anyhow::Result<()> {
///     // FLAME_LAMBDA_FUNCTION=thumbs in its environment
///     let pool = Pool::builder("thumbs")
///         .max(50)
///         .max_concurrency(1) // a function has the cores of its memory for itself
///         .listen((Ipv4Addr::UNSPECIFIED, 4000).into())
///         .advertise("ws://10.0.1.7:4000") // found by itself on EC2, and on ECS
///         .backend(Lambda::from_env())
///         .start()
///         .await?;
///     pool.call(thumbnails("cat.mp4".to_owned())).await?;
///     Ok(())
/// }
/// ```
///
/// # The function
/// - **`FLAME_RUNNER=lambda`** in its environment. Nothing else makes it a runner: a function without
///   it is a parent, wherever it runs. A pool's start looks whether it is there.
/// - **Timeout** 900 s, the most there is; it costs nothing. Lambda's default of 3 s is refused, since
///   a runner drains before its deadline: it begins `shutdown_timeout` and 10 s before, with a short
///   timeout in the second half of what is left. Another runner takes its place, and no call is lost.
/// - **Memory**: CPU comes with it, one vCPU at 1,769 MB.
/// - **Network**: it must reach the address that the pool advertises. In the parent's VPC this takes
///   subnets for the function, and two rules: the parent's security group lets the function's in, on
///   the pool's one port, and the function's lets it out.
/// - **Build**: the same executable as the parent, or both with the same `FLAME_BUILD_ID`.
/// - **No triggers**, function URL or schedule: an event that is not a pool's ends with an error.
/// - For [`Invoked::Event`] set `MaximumRetryAttempts` 0 and `MaximumEventAgeInSeconds` 60: a late or
///   repeated event does no harm, since its token is spent, but it costs an invocation.
///
/// # Settings
/// By [`Lambda::builder`], or else by variables of their own, or else in the JSON of `FLAME_AWS`.
///
/// | builder | variable | in `FLAME_AWS` | default |
/// |---|---|---|---|
/// | [`function`](LambdaBuilder::function) | `FLAME_LAMBDA_FUNCTION` | `lambda.function` | must be set |
/// | [`qualifier`](LambdaBuilder::qualifier) | `FLAME_LAMBDA_QUALIFIER` | `lambda.qualifier` | `$LATEST` |
/// | [`invocation`](LambdaBuilder::invocation) | `FLAME_LAMBDA_INVOCATION` | `lambda.invocation` | `request-response` |
/// | [`region`](LambdaBuilder::region) | `FLAME_LAMBDA_REGION` | `lambda.region` | the ARN's, or the SDK's, `AWS_REGION` |
/// | [`endpoint_url`](LambdaBuilder::endpoint_url) | `FLAME_LAMBDA_ENDPOINT_URL` | `lambda.endpointUrl` | the SDK's, `AWS_ENDPOINT_URL` |
///
/// # Permissions
/// Of the parent's role, with the function's ARN, and that of its alias where a qualifier is set:
///
/// ```json
/// {
///   "Version": "2012-10-17",
///   "Statement": [
///     {
///       "Effect": "Allow",
///       "Action": ["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"],
///       "Resource": [
///         "arn:aws:lambda:eu-central-1:123456789012:function:thumbs",
///         "arn:aws:lambda:eu-central-1:123456789012:function:thumbs:live"
///       ]
///     }
///   ]
/// }
/// ```
///
/// `lambda:GetFunctionConfiguration` is for the checks at the pool's start; without it the start
/// warns, and what is wrong shows at the first boot. The function's own role needs
/// `AWSLambdaVPCAccessExecutionRole` for a VPC, and what the app needs; nothing for flame-aws. Whoever
/// may invoke the function can have it call any remote function: see the README, Security.
///
/// # Starting
/// [`init`](Backend::init) refuses, with what to do: missing or wrong settings, all at once; a pool
/// that advertises an address which nobody but this machine can dial; a function that is not there,
/// not `Active`, without `FLAME_RUNNER=lambda`, with a `FLAME_PARENT` of its own, or with a timeout
/// under 15 s; and a parent that is the function itself. The last four would be a parent that boots
/// parents, or a runner that never serves.
///
/// # Boots
/// A boot is one Invoke. What Lambda says to it is the death of the instance, so the failures of a
/// boot and the end of a runner are told in the same place, with Lambda's reason, the request id, the
/// exit code, and the last 4 KB that the function printed.
///
/// - A throttle (429, with the limit that was hit) or a function that is not ready yet is tried again
///   with back-off for two thirds of `boot_timeout` (30 s by default): it was not run.
/// - A request whose answer is lost before the runner's hello is sent once more. The token lets one
///   runner in; if both requests were carried out, the second runner is refused and ends at once.
/// - An answer that is lost while the runner serves is not missed: its link tells of its end.
/// - All else fails the boot at once: no permission, no such function, keys, VPC, recursion.
///
/// A cold start is Lambda's, with that of the app's `main` up to [`App::run`](crate::App::run); an
/// environment that a runner has left is warm for the next, often for minutes. A `main` that takes
/// more than 10 s until then is ended, and run once more as part of the invocation (AWS
/// documentation, Lambda execution environment). Build with `AWS_LC_SYS_NO_JITTER_ENTROPY=1`: see
/// the README.
///
/// # Stopping
/// Lambda has no way to end an invocation. A runner that is let go ends at once, and so does one whose
/// pool gives it up: it loses its link, dials, and is refused. One that hangs, or is cut off, can't be
/// stopped. It is given up 3 s after [`stop`](Backend::stop), which its death says, and ends when its
/// grace or failsafe is over, at the latest when Lambda ends it at its timeout. It takes up the
/// function's concurrency until then, but no longer the pool's `max`.
///
/// # Environments
/// Lambda freezes an environment when its runner has answered, and thaws it for another one, of any
/// parent. The runner leaves nothing behind: link and calls are ended before the answer. What the app
/// keeps stays: state, statics, connections. So a connection that was open may have been closed by
/// the other side meanwhile, and a task that a function has spawned stops in mid-air, and goes on in
/// another runner's time. A plain function that still runs when its runner must go can't be stopped;
/// then the environment ends behind the answer, and is not used again.
///
/// What functions print, and the log of an app that has set a `tracing` subscriber of its own, is in
/// the function's CloudWatch log; without one, `tracing` events are forwarded to the parent. At level
/// TRACE Lambda's runtime crate logs events whole, with the token in them, which is spent by then.
///
/// # Limits
/// 15 minutes for a runner. 1,000 concurrent invocations in an account by default; a function may get
/// 1,000 more every 10 s. 10 GB of memory, 6 vCPUs. (AWS documentation, Lambda quotas.) A call that
/// takes longer than its runner has left is cut off at the deadline: for long work use Fargate. Lambda
/// stops functions that call each other in a circle, after about 16 rounds (from memory), which
/// nested pools look like: [`max_depth`](crate::PoolBuilder::max_depth) is 8. Lambda Managed Instances are not made use
/// of: an environment serves one invocation at a time.
///
/// # Cost
/// An estimate, us-east-1, x86: `seconds × GB × 0.0000166667 USD + invocations × 0.0000002 USD`; on
/// ARM 0.0000133334 a GB-second. Each runner is paid from its start to its end, idle or not, so it
/// should not idle long: [`idle_shutdown_after`](crate::PoolBuilder::idle_shutdown_after) of a few
/// seconds, and `min` 0. A second of 1,769 MB is about twice a second of 1 vCPU and 2 GB on Fargate;
/// what is busy for more than about half of the time, or for longer than a minute at a stretch, is
/// cheaper there.
#[derive(Clone)]
pub struct Lambda {
    options: LambdaBuilder,
    ready: Arc<OnceLock<Ready>>,
    invocations: Arc<Invocations>,
}

/// What `init` has made.
struct Ready {
    client: Client,
    how: Invoked,
    /// For people.
    function: String,
    /// The function's, if it is known.
    timeout: Option<Duration>,
    /// The pool's.
    boot_timeout: Duration,
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

    async fn prepare(&self, pool: &PoolInfo) -> Result<Ready, BackendError> {
        let variable = |name: &str| std::env::var(name).ok();
        let plan = self.options.plan(variable)?;
        plan.refuse_itself(crate::is_runner(), variable)?;
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
        let endpoint = config.endpoint_url().unwrap_or_default().to_owned();
        refuse_loopback(&pool.address, &endpoint)?;
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
                let refusal = outcome::Refusal { fault, throttle: None };
                let region = client.region().unwrap_or_default();
                let why = refusal.death(&function, 1).reason;
                return Err(BackendError::new(format!("{why} (region {region})")));
            }
        };
        Ok(Ready { client, how, function, timeout, boot_timeout: pool.boot_timeout })
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

/// A runner on Lambda that is told to dial 127.0.0.1 dials itself.
fn refuse_loopback(address: &str, endpoint: &str) -> Result<(), BackendError> {
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    let unspecified = authority.starts_with("0.0.0.0") || authority.starts_with("[::]");
    if unspecified || (sdk::is_loopback(authority) && !sdk::is_local(endpoint)) {
        return Err(BackendError::new(format!(
            "the pool tells its runners to dial {address}, which no Lambda function can reach: let \
             it `.listen(..)` on 0.0.0.0 and a port that its security group opens to the \
             function's, and `.advertise(\"ws://<private address of this machine>:<port>\")`; on EC2, and \
             with the feature `ecs` on ECS, the second is found by itself"
        )));
    }
    Ok(())
}

impl Backend for Lambda {
    fn kind(&self) -> HostKind {
        HostKind::Lambda
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// The private address of the EC2 instance that this process runs in, or, with the feature
    /// `ecs`, of its task.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        async {
            #[cfg(feature = "ecs")]
            {
                use flame_runner_shim::host::ecs::{EcsContainer, EcsTask};
                if EcsTask::is_here() {
                    return EcsContainer::read().await.ok()?.address.map(IpAddr::V4);
                }
            }
            ec2::private_address().await
        }
        .boxed()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            let ready = self.prepare(pool).await?;
            self.ready.set(ready).map_err(|_| {
                BackendError::new("a Lambda backend serves one pool: give each pool its own")
            })
        }
        .boxed()
    }

    /// Returns at once; whatever Lambda says to the request is the instance's death.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let Some(ready) = self.ready.get() else {
                return Err(BootFailure::new("the Lambda backend was not initialised by a pool"));
            };
            let failed = |error: &dyn std::error::Error| BootFailure::new(error.to_string());
            let parent = FlameParent::decode(&spec.flame_parent).map_err(|e| failed(&e))?;
            let event = runner::Event::new(spec.flame_parent);
            let event = serde_json::to_vec(&event).map_err(|e| failed(&e))?;
            let instance = Instance::new(runner::instance_of(spec.runner));
            let by_itself = by_itself(&parent, ready.timeout);
            let invocation = Invocation::new(now(), &ready.function, ready.boot_timeout, by_itself);
            let client = ready.client.clone();
            let order = Order { client, how: ready.how, event, timeout: ready.timeout };
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
        super::process::until_dead(self.invocations.death(instance)).boxed()
    }

    fn heard(&self, instance: &Instance, what: Heard) {
        self.invocations.tell(instance, Event::Heard(what));
    }
}

/// How a runner ends that nobody can stop.
fn by_itself(parent: &FlameParent, timeout: Option<Duration>) -> String {
    let limits = &parent.limits;
    let alone = Duration::from_millis(limits.failsafe_ms.max(limits.grace_ms));
    let timeout = timeout.unwrap_or(client::LONGEST);
    format!(
        "it ends by itself: when it dials and is refused, or after {alone:?} without its parent, at \
         the latest at the function's timeout, {timeout:?} after it began"
    )
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
