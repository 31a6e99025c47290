//! The platforms that runners can be booted on.
//!
//! A [`Backend`] boots copies of the app and stops them. The pool does everything else, in the same
//! way for all backends. To write one, read [the guide](crate::guide::backends).
//!
//! ```text
//! PoolBuilder::backend(..) ──▶ Backend ── start(PoolInfo) ──▶ Instances ── remote_boot, stop, watch
//!                              configuration: checked once    one per pool
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_wire::parent::HostKind;
use futures_util::future::BoxFuture;

use crate::cost::InstanceSize;

#[cfg(any(feature = "cloudwatch", feature = "code-s3", feature = "ecs", feature = "lambda"))]
#[cfg_attr(not(feature = "ecs"), allow(dead_code, reason = "each feature uses its part"))]
pub(crate) mod aws;
mod boot;
pub(crate) mod catch_panics;
#[cfg(feature = "docker")]
mod docker;
#[cfg(feature = "ecs")]
mod ecs;
mod failure;
#[cfg(feature = "fly")]
mod fly;
mod instance_table;
#[cfg(feature = "lambda")]
mod lambda;
mod local;
#[cfg(any(feature = "docker", feature = "fly"))]
mod options;
mod output;
#[cfg(any(feature = "docker", feature = "fly"))]
mod owner;
#[cfg(any(
    feature = "cloudwatch",
    feature = "code-s3",
    feature = "docker",
    feature = "ecs",
    feature = "fly",
    feature = "lambda"
))]
#[cfg_attr(not(feature = "ecs"), allow(dead_code, reason = "each feature uses its part"))]
mod phrases;
#[cfg(any(feature = "docker", feature = "fly"))]
mod place;
mod pool_info;
mod process;
#[cfg(any(feature = "ecs", feature = "fly"))]
mod rate_limit;
#[cfg(any(
    feature = "cloudwatch",
    feature = "code-s3",
    feature = "docker",
    feature = "ecs",
    feature = "fly",
    feature = "lambda"
))]
#[cfg_attr(not(feature = "ecs"), allow(dead_code, reason = "each feature uses its part"))]
mod reach;
#[cfg(any(feature = "docker", feature = "ecs", feature = "fly"))]
mod sweep;
#[cfg(any(feature = "docker", feature = "fly"))]
mod sweeper;
#[cfg(any(feature = "docker", feature = "ecs", feature = "fly"))]
mod times;

pub use boot::{BootSpec, BootTimes, Instance, InstanceEvent};
#[cfg(feature = "docker")]
pub use docker::{Docker, DockerBuilder, PullPolicy};
#[cfg(feature = "ecs")]
pub use ecs::{Ecs, EcsBuilder, EcsReaper, ReaperReport};
pub use failure::{BackendError, BootFailure, BootFailureKind, Death};
#[cfg(feature = "fly")]
pub use fly::{CpuKind, Fly, FlyBuilder};
pub use instance_table::InstanceTable;
#[cfg(feature = "lambda")]
pub use lambda::{InvocationType, Lambda, LambdaBuilder};
pub use local::Local;
pub use pool_info::{OutputLine, OutputStream, PoolInfo};
pub use process::Process;

/// A platform that can run copies of the app, and how to use it.
///
/// To use a backend, give it to a pool:
///
/// ```no_run
/// use flame_aws::Pool;
/// use flame_aws::backend::Process;
///
/// # async fn example() -> Result<(), flame_aws::PoolError> {
/// let backend = Process::new().env("ROLE", "runner").args(["--quiet"]);
/// let pool = Pool::builder("thumbs").backend(backend).start().await?;
/// # Ok(())
/// # }
/// ```
///
/// To write a backend, read the [guide](crate::guide::backends), which has a complete one.
///
/// A `Backend` holds the configuration. [`start`](Self::start) checks it and returns the
/// [`Instances`] that boot runners for one pool. The other methods describe the platform; the pool
/// may call them before `start` and after it.
///
/// If `start` panics, it has failed with the panic's message.
pub trait Backend: Send + Sync + 'static {
    /// The kind of host that the instances are. It is part of FLAME_PARENT, and tells the runner
    /// how to read its environment and when its platform will end it.
    fn kind(&self) -> HostKind;

    /// The default of the pool's [`boot_timeout`](crate::PoolBuilder::boot_timeout).
    fn boot_timeout(&self) -> Duration;

    /// The address of this machine that runners can connect to, if the backend knows it. The pool
    /// asks once, before [`start`](Self::start), and only if it listens on all addresses and
    /// [`advertise`](crate::PoolBuilder::advertise) is not set. Default: unknown.
    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        Box::pin(std::future::ready(None))
    }

    /// Whether each instance is started in the same way as this process: the same executable, with
    /// [`PoolInfo::args`]. Such a copy becomes a runner only if it reaches
    /// [`App::run`](crate::App::run), so the pool boots none before this process has reached it,
    /// and fails calls with a [`BootFailed`](crate::CallError::BootFailed) that explains the fix.
    /// Default: `false`.
    fn starts_this_executable(&self) -> bool {
        false
    }

    /// Whether a runner can replace itself by the parent's executable, as
    /// [`code_sync`](crate::PoolBuilder::code_sync) needs. Return `false` if the platform does not
    /// let a process write a file and execute it. Default: `true`.
    fn supports_code_sync(&self) -> bool {
        true
    }

    /// For the error that a runner never connected: what a runner on this platform needs to reach
    /// the pool. A clause without a full stop, such as "its security group must allow outbound
    /// traffic". Default: none.
    fn connection_advice(&self) -> Option<&str> {
        None
    }

    /// Checks the configuration, and returns the [`Instances`] of one pool. The pool calls it once,
    /// before any boot.
    ///
    /// # Errors
    /// [`BackendError`] that names what is missing or wrong, and how to fix it. The pool does not
    /// start.
    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>>;
}

/// The instances that a backend runs for one pool: boots them, stops them, and reports their
/// deaths.
///
/// All methods may be called concurrently from several tasks. The pool may drop a future at any
/// await, except that of [`remote_boot`](Self::remote_boot): it polls that until one minute after
/// the boot timeout, so that it learns of every instance. A method that panics has failed with the
/// panic's message.
///
/// When the pool is gone, it drops its `Instances`. Stop every instance that is left.
pub trait Instances: Send + Sync + 'static {
    /// Starts one copy of the app with FLAME_PARENT set to [`BootSpec::flame_parent`]. Returns as
    /// soon as the platform has accepted the request; the pool waits for the runner to connect.
    ///
    /// # Errors
    /// [`BootFailure`] if there is no instance. If there is one, return it, even if it is broken:
    /// the pool stops it.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>>;

    /// Stops the instance at once. Idempotent: stopping an instance that is gone succeeds.
    ///
    /// # Errors
    /// [`BackendError`]; the pool retries a few times, and then reports a
    /// [`StopFailed`](crate::PoolEvent::StopFailed).
    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Completes when the instance has died, for any reason, including [`stop`](Self::stop). If the
    /// instance is dead already or unknown, it completes at once. [`InstanceTable`] implements
    /// this.
    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death>;

    /// The longest time that a call can run on a fresh instance, if the platform ends instances
    /// after a fixed time. The pool rejects calls that may take longer. Called for each call.
    /// Default: `None`, no limit.
    fn longest_call(&self) -> Option<Duration> {
        None
    }

    /// Tells the backend what the pool has seen of an instance. This is for platforms that do not
    /// report by themselves whether a request was carried out, or when an instance has ended. Must
    /// not block. Default: does nothing.
    fn notify(&self, _instance: &Instance, _event: InstanceEvent) {}

    /// How long the platform took for the parts of a boot, for the pool's metrics and traces. The
    /// pool asks after the runner has connected, and waits for one minute at most. Default: unknown.
    fn boot_times(&self, _instance: &Instance) -> BoxFuture<'static, BootTimes> {
        Box::pin(std::future::ready(BootTimes::default()))
    }

    /// The size of an instance, for the estimate of the pool's costs; see
    /// [`cost`](crate::cost). The pool asks once, when it starts. Default: unknown.
    fn size(&self) -> InstanceSize {
        InstanceSize::Unknown
    }
}

#[cfg(test)]
mod tests;
