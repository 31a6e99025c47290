//! An app on ECS: a cluster, and a task definition whose container is the suite.

use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::builders::ContainerDefinitionBuilder;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, KeyValuePair, LaunchType, NetworkConfiguration,
    NetworkMode, Task, TaskField,
};
use flame_aws::PoolBuilder;
use flame_aws::backend::{Ecs, EcsBuilder};

use super::{Account, IMAGE, containers, reachable};

/// A cluster and a task definition, in an account of its own.
#[derive(Debug, Clone)]
pub struct EcsApp {
    /// The account.
    pub account: Account,
    /// A client of the account's ECS.
    pub client: Client,
}

impl EcsApp {
    /// The cluster's name.
    pub const CLUSTER: &'static str = "main";
    /// The family of the task definition.
    pub const FAMILY: &'static str = "app";
    /// The task definition's container.
    pub const CONTAINER: &'static str = "app";
    /// The cluster with EC2 instances, and its task definition.
    pub const INSTANCES: &'static str = "instances";
    /// The subnet of the tasks.
    pub const SUBNET: &'static str = "subnet-0a";

    /// Creates the cluster and the task definition in a new account.
    pub async fn new() -> Self {
        Self::make(Account::new().await).await
    }

    /// Creates the cluster and the task definition in this account.
    pub async fn make(account: Account) -> Self {
        let app = Self::of(account).await;
        let cluster = app.client.create_cluster().cluster_name(Self::CLUSTER);
        let providers = ["FARGATE", "FARGATE_SPOT"].map(str::to_owned);
        let cluster = cluster.set_capacity_providers(Some(providers.to_vec()));
        cluster.send().await.expect("a cluster");
        app.define(Self::FAMILY, |container| container).await;
        app
    }

    /// Returns the app that exists in this account.
    pub async fn of(account: Account) -> Self {
        let client = Client::new(&account.sdk().await);
        Self { account, client }
    }

    /// Registers a task definition with one container, which runs the suite.
    pub async fn define(
        &self,
        family: &str,
        change: impl FnOnce(ContainerDefinitionBuilder) -> ContainerDefinitionBuilder,
    ) {
        self.define_with(family, change, []).await;
    }

    /// The container that runs the suite.
    fn container() -> ContainerDefinitionBuilder {
        ContainerDefinition::builder()
            .name(Self::CONTAINER)
            .image(IMAGE)
            .essential(true)
            .stop_timeout(30)
    }

    /// Creates a cluster whose tasks run on the EC2 instances of these capacity providers, and a task
    /// definition for it. Both have the name `instances`.
    pub async fn make_instances(&self, providers: &[&str]) {
        let providers = providers.iter().map(|&name| name.to_owned()).collect();
        let cluster = self.client.create_cluster().cluster_name(Self::INSTANCES);
        cluster.set_capacity_providers(Some(providers)).send().await.expect("a cluster");
        let defined = self.client.register_task_definition().family(Self::INSTANCES);
        let defined = defined
            .network_mode(NetworkMode::Bridge)
            .requires_compatibilities(Compatibility::Ec2)
            .container_definitions(Self::container().memory(512).build());
        defined.send().await.expect("a task definition");
    }

    /// Registers a task definition with more containers beside the suite's.
    pub async fn define_with(
        &self,
        family: &str,
        change: impl FnOnce(ContainerDefinitionBuilder) -> ContainerDefinitionBuilder,
        others: impl IntoIterator<Item = ContainerDefinition>,
    ) {
        let container = Self::container();
        let defined = self.client.register_task_definition().family(family);
        let defined = defined
            .network_mode(NetworkMode::Awsvpc)
            .requires_compatibilities(Compatibility::Fargate)
            .cpu("256")
            .memory("512")
            .container_definitions(change(container).build());
        let defined = others.into_iter().fold(defined, |all, one| all.container_definitions(one));
        defined.send().await.expect("a task definition");
    }

    /// Returns a backend that polls often.
    pub async fn backend(&self) -> EcsBuilder {
        Self::backend_with(self.account.sdk().await)
    }

    /// Returns a backend with this configuration of the SDK.
    pub fn backend_with(config: aws_config::SdkConfig) -> EcsBuilder {
        Ecs::builder()
            .cluster(Self::CLUSTER)
            .task_definition(Self::FAMILY)
            .container(Self::CONTAINER)
            .subnets([Self::SUBNET])
            .sdk_config(config)
            .poll_every(Duration::from_millis(100), Duration::from_millis(250))
            .no_sweep()
    }

    /// Returns a small pool whose runners are tasks of the app.
    pub async fn pool(&self, name: &str) -> PoolBuilder {
        self.pool_of(name, self.backend().await)
    }

    /// Returns a small pool on that backend.
    pub fn pool_of(&self, name: &str, backend: EcsBuilder) -> PoolBuilder {
        let pool = flame_aws::Pool::builder(name).max(2).max_concurrency(4);
        reachable(pool.backend(backend.build()))
    }

    /// How many tasks of the cluster run.
    pub async fn count_running(&self) -> usize {
        let tasks = self.tasks().await;
        tasks.iter().filter(|task| task.last_status() == Some("RUNNING")).count()
    }

    /// Returns whether the runner with this process id runs, as far as the AWS in use can tell.
    pub async fn runs(&self, pid: u32) -> bool {
        if containers::asked_for() {
            // Each runner is process 1 of its container, so only the number of tasks tells.
            pid == 1 && self.count_running().await > 0
        } else if self.account.emulated {
            self.account.running().await.contains(&pid)
        } else {
            self.count_running().await > 0
        }
    }

    /// Waits until nothing of the app runs: no process if the emulator can tell, otherwise no task.
    pub async fn until_nothing_runs(&self) {
        if self.account.emulated {
            return self.account.until_nothing_runs().await;
        }
        let stopped = |task: &Task| task.last_status() == Some("STOPPED");
        let waiting = async {
            while !self.tasks().await.iter().all(stopped) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        waited.unwrap_or_else(|_| panic!("a task of account {} is still running", self.account.id));
    }

    /// Returns all tasks of the cluster, in any state, with their tags.
    pub async fn tasks(&self) -> Vec<Task> {
        self.tasks_of(Self::CLUSTER).await
    }

    /// Returns all tasks of a cluster, in any state, with their tags.
    pub async fn tasks_of(&self, cluster: &str) -> Vec<Task> {
        let mut arns = Vec::new();
        for status in ["RUNNING", "STOPPED"] {
            let listed = self.client.list_tasks().cluster(cluster);
            let listed = listed.desired_status(status.into()).send().await.expect("a list");
            arns.extend_from_slice(listed.task_arns());
        }
        if arns.is_empty() {
            return Vec::new();
        }
        let call = self.client.describe_tasks().cluster(cluster).include(TaskField::Tags);
        let answer = call.set_tasks(Some(arns)).send().await.expect("a description");
        answer.tasks.unwrap_or_default()
    }

    /// Waits until a task has stopped, and returns it.
    pub async fn until_stopped(&self, arn: &str) -> Task {
        let waiting = async {
            loop {
                let tasks = self.tasks().await;
                let task = tasks.into_iter().find(|task| task.task_arn() == Some(arn));
                match task {
                    Some(task) if task.last_status() == Some("STOPPED") => return task,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let stopped = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        stopped.unwrap_or_else(|_| panic!("{arn} has not stopped"))
    }

    /// Runs a task of the family without a pool, with these variables. Returns its ARN.
    pub async fn run(&self, variables: &[(&str, &str)], tags: &[(&str, &str)]) -> String {
        self.run_with(None, variables, tags).await
    }

    /// Runs a task like [`run`](Self::run), with this `clientToken`.
    pub async fn run_once(
        &self,
        token: &str,
        variables: &[(&str, &str)],
        tags: &[(&str, &str)],
    ) -> String {
        self.run_with(Some(token), variables, tags).await
    }

    async fn run_with(
        &self,
        token: Option<&str>,
        variables: &[(&str, &str)],
        tags: &[(&str, &str)],
    ) -> String {
        use aws_sdk_ecs::types::{AwsVpcConfiguration, ContainerOverride, Tag, TaskOverride};
        let variable = |(name, value): &(&str, &str)| {
            KeyValuePair::builder().name(*name).value(*value).build()
        };
        let container = ContainerOverride::builder()
            .name(Self::CONTAINER)
            .set_environment(Some(variables.iter().map(variable).collect()))
            .build();
        let network =
            AwsVpcConfiguration::builder().subnets(Self::SUBNET).build().expect("subnets");
        let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
        let ran = self
            .client
            .run_task()
            .set_client_token(token.map(str::to_owned))
            .cluster(Self::CLUSTER)
            .task_definition(Self::FAMILY)
            .launch_type(LaunchType::Fargate)
            .network_configuration(
                NetworkConfiguration::builder().awsvpc_configuration(network).build(),
            )
            .overrides(TaskOverride::builder().container_overrides(container).build())
            .set_tags(Some(tags.iter().map(tag).collect()).filter(|tags: &Vec<_>| !tags.is_empty()))
            .send()
            .await
            .expect("a task");
        let task = ran.tasks().first().expect("one task");
        task.task_arn().expect("an ARN").to_owned()
    }
}
