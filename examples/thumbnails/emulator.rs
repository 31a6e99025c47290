//! AWS on this machine: starts the emulator in `localstack/`, and creates what the backends need.
//!
//! In a real account, CDK or Terraform would create the same: a cluster, a task definition and a
//! function. The image of both is this program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecs::config::Credentials;
use aws_sdk_ecs::types::{Compatibility, ContainerDefinition, NetworkMode};
use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::types::{Environment, FunctionCode, PackageType};
use flame_aws::backend::{Ecs, Lambda};

const IMAGE: &str = "thumbnails:latest";
/// The emulator uses an access key of twelve digits as the account's number.
const ACCOUNT: &str = "000000000001";

/// A running emulator. It exits, and its tasks and functions with it, when this value is dropped or
/// this process ends.
pub(crate) struct Emulator {
    child: Child,
    config: SdkConfig,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The emulator exits when its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// Starts an emulator, which keeps its table of images and its log in `folder`.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let (child, endpoint) = spawn(folder)?;
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "emulator"))
            .load()
            .await;
        let emulator = Self { child, config };
        let config = &emulator.config;
        create_cluster(config).await.context("can't create the emulated cluster")?;
        create_function(config).await.context("can't create the emulated function")?;
        Ok(emulator)
    }

    /// Backends that use the emulator. For a real account, the environment has these settings.
    pub(crate) fn backends(&self) -> (Ecs, Lambda) {
        let ecs = Ecs::builder().cluster("main").task_definition("thumbnails").container("app");
        let ecs = ecs.subnets(["subnet-1"]).sdk_config(self.config.clone());
        let lambda = Lambda::builder().function("thumbnails").sdk_config(self.config.clone());
        (ecs.build(), lambda.build())
    }
}

fn spawn(folder: &Path) -> anyhow::Result<(Child, String)> {
    let images = folder.join("images.json");
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let table = serde_json::json!({ IMAGE: { "entrypoint": [program] } });
    std::fs::write(&images, table.to_string())
        .with_context(|| format!("can't write {}", images.display()))?;
    let log = folder.join("emulator.log");
    let mut child = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/emulator/start.py"))
        .arg("--images")
        .arg(&images)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).context("can't write the emulator's log")?)
        .spawn()
        .context("can't start the emulator: it needs Python 3.11 or newer, as `python3`")?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let started: serde_json::Value = serde_json::from_str(&line)
        .with_context(|| format!("the emulator did not start: see {}", log.display()))?;
    let endpoint = started["endpoint"].as_str().context("the emulator printed no endpoint")?;
    Ok((child, endpoint.to_owned()))
}

async fn create_cluster(config: &SdkConfig) -> anyhow::Result<()> {
    let ecs = aws_sdk_ecs::Client::new(config);
    ecs.create_cluster().cluster_name("main").send().await?;
    let container = ContainerDefinition::builder().name("app").image(IMAGE).essential(true);
    ecs.register_task_definition()
        .family("thumbnails")
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("1024")
        .memory("2048")
        .container_definitions(container.build())
        .send()
        .await?;
    Ok(())
}

async fn create_function(config: &SdkConfig) -> anyhow::Result<()> {
    let lambda = aws_sdk_lambda::Client::new(config);
    lambda
        .create_function()
        .function_name("thumbnails")
        .package_type(PackageType::Image)
        .code(FunctionCode::builder().image_uri(IMAGE).build())
        .role(format!("arn:aws:iam::{ACCOUNT}:role/thumbnails"))
        .timeout(900)
        .memory_size(1769)
        .environment(Environment::builder().variables("FLAME_RUNNER", "lambda").build())
        .send()
        .await?;
    let active = lambda.wait_until_function_active_v2().function_name("thumbnails");
    active.wait(Duration::from_secs(30)).await?;
    Ok(())
}
