//! The options of the ECS backend.

use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;

use super::Ecs;
use super::poller::PollIntervals;
use super::providers::CapacityProvider;
use crate::backend::sweep::Sweeping;

/// The options of an [`Ecs`] backend.
///
/// A setting that is not set here comes from the environment: from its own variable, named below,
/// or else from the variable FLAME_AWS, as JSON with the names in camel case: `{"ecs": {"cluster":
/// "main", "subnets": ["subnet-1"]}}`. If this process runs on ECS, some defaults come from its own
/// task. All settings are checked when the pool starts.
#[derive(Clone, Default)]
#[must_use = "call `build` to get the backend"]
pub struct EcsBuilder {
    pub(super) cluster: Option<String>,
    pub(super) task_definition: Option<String>,
    pub(super) container: Option<String>,
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) public_ip: Option<bool>,
    pub(super) execute_command: Option<bool>,
    pub(super) platform_version: Option<String>,
    pub(super) cpu: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) ephemeral_storage: Option<u32>,
    pub(super) providers: Vec<CapacityProvider>,
    pub(super) env: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) sdk: Option<SdkConfig>,
    pub(super) poll_intervals: Option<PollIntervals>,
    pub(super) sweep: Sweeping,
}

impl fmt::Debug for EcsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `env`: an app may have secrets there.
        f.debug_struct("EcsBuilder")
            .field("cluster", &self.cluster)
            .field("task_definition", &self.task_definition)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

impl EcsBuilder {
    /// The backend. It makes no request to AWS before its pool starts.
    #[must_use]
    pub fn build(self) -> Ecs {
        Ecs::new(self)
    }

    /// The cluster, by name or ARN. `FLAME_ECS_CLUSTER`; default: the cluster of this process's own
    /// task.
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The task definition: `family`, `family:revision` or an ARN. `FLAME_ECS_TASK_DEFINITION`;
    /// default: the task definition of this process's own task, in the same revision. It must run
    /// the same build of the app.
    pub fn task_definition(mut self, definition: impl Into<String>) -> Self {
        self.task_definition = Some(definition.into());
        self
    }

    /// The task definition's container that runs the app. `FLAME_ECS_CONTAINER`; default: this
    /// process's own container, or the only one.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// The subnets of the tasks: 1 to 16. `FLAME_ECS_SUBNETS`, separated by commas; default: the
    /// subnet of this process's own task, if this process may call ecs:DescribeTasks. Subnets in
    /// several availability zones make it more likely that Fargate has capacity.
    pub fn subnets(mut self, subnets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subnets = subnets.into_iter().map(Into::into).collect();
        self
    }

    /// The security groups of the tasks: at most 5. `FLAME_ECS_SECURITY_GROUPS`, separated by
    /// commas; default: none, so that AWS uses the VPC's default security group (AWS documentation,
    /// AwsVpcConfiguration), which the log warns of.
    pub fn security_groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.security_groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Whether tasks get a public address, which they need in a public subnet to pull their image.
    /// `FLAME_ECS_ASSIGN_PUBLIC_IP`: `true` or `false`; default: `false`.
    pub fn assign_public_ip(mut self, assign: bool) -> Self {
        self.public_ip = Some(assign);
        self
    }

    /// Whether a person may open a shell in a task, by `aws ecs execute-command`.
    /// `FLAME_ECS_ENABLE_EXECUTE_COMMAND`: `true` or `false`; default: `false`. It needs a task role
    /// that may open the four channels of `ssmmessages`, and a root filesystem that is not read-only
    /// (AWS documentation, [Monitor Amazon ECS containers with ECS Exec]).
    ///
    /// [Monitor Amazon ECS containers with ECS Exec]: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    pub fn enable_execute_command(mut self, enable: bool) -> Self {
        self.execute_command = Some(enable);
        self
    }

    /// The CPU units of a task: 1,024 are one vCPU. `FLAME_ECS_CPU`; default: the task
    /// definition's. On Fargate, it must be a size that Fargate offers together with `memory`. The
    /// pool's [`size`](crate::PoolBuilder::size) sets this, `memory`, `ephemeral_storage` and GPUs
    /// in the words of all backends; a value that is set in both places is an error.
    pub fn cpu(mut self, units: u32) -> Self {
        self.cpu = Some(units);
        self
    }

    /// The memory of a task, in MiB. `FLAME_ECS_MEMORY`; default: the task definition's.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = Some(mib);
        self
    }

    /// The ephemeral storage of a task on Fargate, in GiB: 21 to 200. `FLAME_ECS_EPHEMERAL_STORAGE`; default:
    /// the task definition's, or 20.
    pub fn ephemeral_storage(mut self, gib: u32) -> Self {
        self.ephemeral_storage = Some(gib);
        self
    }

    /// Adds a capacity provider: `FARGATE_SPOT`, or one of the cluster's own, whose tasks run on EC2
    /// instances. With several, each runner first tries one that is drawn at random by weight, and
    /// tries the others if that one has no capacity. A provider of weight 0 is only a fallback.
    /// Those of Fargate and others can't be mixed. `FLAME_ECS_CAPACITY_PROVIDER`:
    /// `FARGATE_SPOT=3,FARGATE=1`; default: none, which is the launch type FARGATE.
    pub fn capacity_provider(self, name: impl Into<String>, weight: u32) -> Self {
        self.capacity_provider_with_base(name, weight, 0)
    }

    /// Like [`capacity_provider`](Self::capacity_provider), but the first `base` runners of the pool
    /// try this provider before the weights count. So `("FARGATE", 0, 2)` and `("FARGATE_SPOT", 1,
    /// 0)` keep two runners where they are not interrupted. In `FLAME_ECS_CAPACITY_PROVIDER` the
    /// base follows the weight: `FARGATE=0:2,FARGATE_SPOT=1`.
    pub fn capacity_provider_with_base(
        mut self,
        name: impl Into<String>,
        weight: u32,
        base: u32,
    ) -> Self {
        self.providers.push(CapacityProvider { name: name.into(), weight, base });
        self
    }

    /// Fargate's platform version. `FLAME_ECS_PLATFORM_VERSION`; default: the latest.
    pub fn platform_version(mut self, version: impl Into<String>) -> Self {
        self.platform_version = Some(version.into());
        self
    }

    /// Sets an environment variable of the runners, in addition to the task definition's. All
    /// variables together, including FLAME_PARENT, must fit in 8,192 characters. Anyone who may
    /// describe tasks can read them, so do not put secrets here. `{"ecs": {"env": {"NAME":
    /// "value"}}}` in FLAME_AWS adds variables that are not set here.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a tag to each task, in addition to the tags for pool, runner and parent. At most 45
    /// tags. `{"ecs": {"tags": {"name": "value"}}}` in FLAME_AWS adds tags that are not set here.
    ///
    /// A name has 1 to 128 characters and is set once; a value has up to 256. Both may contain
    /// letters, spaces, numbers and `_.:/=+-@`. Neither may begin with `aws:`, and a name not with
    /// `flame:` (botocore 1.44.8, ecs 2014-11-13, `TagKey`, `TagValue`, RunTask). With an invalid
    /// tag the pool does not start.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// The region. `FLAME_ECS_REGION`; default: the region that the SDK finds, such as AWS_REGION.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another endpoint of the ECS API, such as an emulator's. `FLAME_ECS_ENDPOINT_URL`; default:
    /// the endpoint that the SDK finds, such as AWS_ENDPOINT_URL.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// The SDK configuration to use instead of the environment's: credentials, region, endpoint,
    /// HTTP client. Its retries and timeouts are ignored, since the backend has its own.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk = Some(config);
        self
    }

    /// How often all tasks of the pool are polled with DescribeTasks, in batches of 100: while any
    /// task boots or ends, and while all tasks are up. Default: 1 s and 5 s. A crash is noticed
    /// within this interval.
    pub fn poll_every(mut self, booting: Duration, up: Duration) -> Self {
        let least = Duration::from_millis(10);
        self.poll_intervals =
            Some(PollIntervals { booting: booting.max(least), up: up.max(least) });
        self
    }

    /// How often the pool looks for orphaned tasks, and how old a task must be to count as one.
    /// Default: every 5 min, and 10 min. See [`Ecs`] for what an orphan is.
    pub fn sweep(mut self, interval: Duration, age: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(100));
        self.sweep = Sweeping::Every { interval, age };
        self
    }

    /// Switches the search for orphaned tasks off.
    pub fn no_sweep(mut self) -> Self {
        self.sweep = Sweeping::Never;
        self
    }
}
