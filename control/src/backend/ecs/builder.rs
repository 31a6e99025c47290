//! What an app says of its runners on ECS.

use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;

use super::Ecs;
use super::poller::Every;

/// The options of an [`Ecs`] backend.
///
/// What is not set here is looked for in the environment, by the names below, then in the variable
/// FLAME_AWS, as JSON: `{"ecs": {"cluster": "main", "subnets": ["subnet-1"]}}`, with the names in
/// camel case; then, where this process runs on ECS itself, it is what this process's own task has.
/// All is checked when the pool starts.
#[derive(Clone, Default)]
#[must_use = "nothing happens before `build`"]
pub struct EcsBuilder {
    pub(super) cluster: Option<String>,
    pub(super) task_definition: Option<String>,
    pub(super) container: Option<String>,
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) public_ip: Option<bool>,
    pub(super) platform_version: Option<String>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) ephemeral_storage: Option<u32>,
    pub(super) providers: Vec<(String, u32)>,
    pub(super) env: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) sdk: Option<SdkConfig>,
    pub(super) every: Option<Every>,
    pub(super) sweep: Sweeping,
}

/// Whether orphans are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sweeping {
    Never,
    Every { every: Duration, age: Duration },
}

impl Default for Sweeping {
    fn default() -> Self {
        Self::Every { every: Duration::from_secs(300), age: Duration::from_secs(600) }
    }
}

impl fmt::Debug for EcsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the environment: an app may have its secrets there.
        f.debug_struct("EcsBuilder")
            .field("cluster", &self.cluster)
            .field("task_definition", &self.task_definition)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

impl EcsBuilder {
    /// The backend. Nothing is asked of AWS before its pool starts.
    #[must_use]
    pub fn build(self) -> Ecs {
        Ecs::new(self)
    }

    /// The cluster, by its name or ARN. `FLAME_ECS_CLUSTER`; default: this process's own.
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The task definition: `family`, `family:revision` or an ARN. `FLAME_ECS_TASK_DEFINITION`;
    /// default: this process's own, in its revision. It must run the same build of the app.
    pub fn task_definition(mut self, definition: impl Into<String>) -> Self {
        self.task_definition = Some(definition.into());
        self
    }

    /// The container of it that runs the app. `FLAME_ECS_CONTAINER`; default: this process's own,
    /// or the only one there is.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// The subnets to place tasks in: 1 to 16. `FLAME_ECS_SUBNETS`, separated by commas; default:
    /// that of this process's own task, where it may call ecs:DescribeTasks. Several, in several
    /// availability zones, make it likelier that there is room.
    pub fn subnets(mut self, subnets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subnets = subnets.into_iter().map(Into::into).collect();
        self
    }

    /// The security groups of tasks: at most 5. `FLAME_ECS_SECURITY_GROUPS`, separated by commas;
    /// default: none, so AWS takes the VPC's default one (AWS documentation, AwsVpcConfiguration),
    /// and a warning is logged.
    pub fn security_groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.security_groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Whether tasks get a public address, which they need in a public subnet to pull their image.
    /// `FLAME_ECS_ASSIGN_PUBLIC_IP`, `true` or `false`; default false.
    pub fn assign_public_ip(mut self, assign: bool) -> Self {
        self.public_ip = Some(assign);
        self
    }

    /// CPU units of a task: 1,024 are one vCPU. `FLAME_ECS_CPU`; default: the task definition's.
    /// With `memory` it must be a size that Fargate has.
    pub fn cpu(mut self, units: u32) -> Self {
        self.cpu = Some(units);
        self
    }

    /// Memory of a task, in MiB. `FLAME_ECS_MEMORY`; default: the task definition's.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = Some(mib);
        self
    }

    /// Ephemeral storage of a task, in GiB: 21 to 200. `FLAME_ECS_EPHEMERAL_STORAGE`; default: the
    /// task definition's, or 20.
    pub fn ephemeral_storage(mut self, gib: u32) -> Self {
        self.ephemeral_storage = Some(gib);
        self
    }

    /// One more capacity provider, such as `FARGATE_SPOT`. Of several, each runner tries one first
    /// that is drawn by weight, and the others where that has no room; one of weight 0 is only
    /// such a fallback. `FLAME_ECS_CAPACITY_PROVIDER`: `FARGATE_SPOT=3,FARGATE=1`. Default: none,
    /// that is the launch type FARGATE.
    pub fn capacity_provider(mut self, name: impl Into<String>, weight: u32) -> Self {
        self.providers.push((name.into(), weight));
        self
    }

    /// The platform version of Fargate. `FLAME_ECS_PLATFORM_VERSION`; default: the latest.
    pub fn platform_version(mut self, version: impl Into<String>) -> Self {
        self.platform_version = Some(version.into());
        self
    }

    /// A variable of the runners' environment, over the task definition's. All of them, with
    /// FLAME_PARENT, must fit 8,192 characters. Who may describe tasks can read them: no place for
    /// secrets. `{"ecs": {"env": {"NAME": "value"}}}` in FLAME_AWS adds those that are not set here.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A tag of each task, beside those that name pool, runner and parent; at most 45. `tags` in
    /// FLAME_AWS, an object, adds those that are not set here.
    ///
    /// A name has 1 to 128 characters and is set once, a value up to 256: letters, spaces, numbers and
    /// `_.:/=+-@`; neither begins with `aws:`, and no name with `flame:` (botocore 1.44.8, ecs
    /// 2014-11-13, `TagKey`, `TagValue`, RunTask). Else the pool does not start.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// The region. `FLAME_ECS_REGION`; default: what the SDK finds, as in AWS_REGION.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another endpoint of the ECS API, such as an emulator's. `FLAME_ECS_ENDPOINT_URL`; default:
    /// what the SDK finds, as in AWS_ENDPOINT_URL.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// A configuration of the SDK, in place of what it finds by itself: credentials, region,
    /// endpoint, HTTP client. Its retries and time limits are not used: the backend has its own.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// How often DescribeTasks is asked, for all tasks of the pool in batches of 100: while any of
    /// them boots or ends, and while all are up. Default 1 s and 5 s. A crash is noticed so late
    /// at the latest.
    pub fn poll_every(mut self, booting: Duration, up: Duration) -> Self {
        let least = Duration::from_millis(10);
        self.every = Some(Every { booting: booting.max(least), up: up.max(least) });
        self
    }

    /// How often orphans are looked for, and how old a task must be to be taken for one. Default
    /// every 5 min, and 10 min. See [`Ecs`] for what an orphan is.
    pub fn sweep(mut self, every: Duration, age: Duration) -> Self {
        let every = every.max(Duration::from_millis(100));
        self.sweep = Sweeping::Every { every, age };
        self
    }

    /// Orphans are not looked for.
    pub fn no_sweep(mut self) -> Self {
        self.sweep = Sweeping::Never;
        self
    }
}
