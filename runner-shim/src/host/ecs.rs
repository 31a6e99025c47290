//! An ECS task. It learns its own name from the task's metadata endpoint.
//!
//! Each container has `ECS_CONTAINER_METADATA_URI_V4` in its environment: the address of an HTTP
//! endpoint on the task's own network, without TLS or credentials (AWS documentation, "Task
//! metadata endpoint version 4"). A parent on ECS uses the endpoint, too: by default its runners
//! use the parent's own cluster, task definition and container.

use std::net::Ipv4Addr;
use std::time::Duration;

use flame_wire::error::Chain;
use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Host, ProcessHost, stop_timeout};

#[cfg(test)]
mod tests;

/// The variable with the endpoint's address.
pub const METADATA_URI_ENV: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The limit for one request. The endpoint is on this machine, and answers in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of attempts, and the pause between them: the endpoint may be up a little later than
/// the container, and limits its request rate.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Why a process can't find out which ECS task it is in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The variable is not set.
    #[error(
        "this process was started as a runner on ECS, but {METADATA_URI_ENV} is not set: it is not a \
         container of an ECS task, or the Fargate platform version is older than 1.4.0"
    )]
    NotOnEcs,
    /// The endpoint does not answer, or its answer does not decode.
    #[error(
        "the metadata endpoint of this ECS task, {address}, can't be read: {why}; check whether \
         something in the task blocks the link-local address, or whether a proxy intercepts it"
    )]
    Unreadable {
        /// The address of the request.
        address: String,
        /// What went wrong.
        why: String,
    },
}

/// The ECS task that this process runs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct EcsTask {
    /// The cluster: its ARN, or its short name.
    pub cluster: String,
    /// The task's ARN.
    #[serde(rename = "TaskARN")]
    pub arn: String,
    /// The family of the task definition.
    pub family: String,
    /// Its revision.
    pub revision: String,
}

impl EcsTask {
    /// Whether this process is a container of an ECS task.
    #[must_use]
    pub fn runs_on_ecs() -> bool {
        endpoint().is_some()
    }

    /// Asks the endpoint. Takes some milliseconds, at most 9 s.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn read() -> Result<Self, MetadataError> {
        request(&format!("{}/task", endpoint().ok_or(MetadataError::NotOnEcs)?)).await
    }

    /// The task definition, as `family:revision`.
    #[must_use]
    pub fn definition(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

/// The container that this process runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EcsContainer {
    /// Its name in the task definition.
    pub name: String,
    /// Its private address, if it has one of its own (network mode `awsvpc`).
    pub address: Option<Ipv4Addr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerMetadata {
    name: String,
    #[serde(default)]
    networks: Vec<NetworkMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkMetadata {
    #[serde(default)]
    network_mode: String,
    #[serde(rename = "IPv4Addresses", default)]
    addresses: Vec<Ipv4Addr>,
}

impl EcsContainer {
    /// Asks the endpoint. Takes some milliseconds, at most 9 s.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn read() -> Result<Self, MetadataError> {
        let ContainerMetadata { name, networks } =
            request(&endpoint().ok_or(MetadataError::NotOnEcs)?).await?;
        Ok(Self { name, address: own_address(networks) })
    }
}

/// An address that others in the VPC can reach. The address of a bridge works only on its own host.
fn own_address(networks: Vec<NetworkMetadata>) -> Option<Ipv4Addr> {
    let own = networks.into_iter().filter(|network| network.network_mode == "awsvpc");
    own.flat_map(|network| network.addresses).next()
}

fn endpoint() -> Option<String> {
    std::env::var(METADATA_URI_ENV).ok().filter(|address| !address.is_empty())
}

async fn request<T: DeserializeOwned>(address: &str) -> Result<T, MetadataError> {
    let unreadable = |error: &reqwest::Error| MetadataError::Unreadable {
        address: address.to_owned(),
        why: Chain(error).to_string(),
    };
    // The address is link-local: a proxy that is configured for the app can't reach it.
    let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build();
    let client = client.map_err(|error| unreadable(&error))?;
    let mut attempts = 1;
    loop {
        let asked = async { client.get(address).send().await?.error_for_status()?.json().await };
        match asked.await {
            Ok(answer) => return Ok(answer),
            Err(error) if attempts == ATTEMPTS || error.is_decode() => {
                return Err(unreadable(&error));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        attempts += 1;
    }
}

/// A container of an ECS task.
///
/// The container is essential for its task, so the exit of its process stops the task, which needs
/// no permission. If the task has other essential containers, ECS stops them, too (AWS
/// documentation, "Task definition parameters", `essential`). So a runner needs no client for the
/// ECS API.
#[derive(Debug, Clone)]
pub struct EcsHost {
    task: String,
    stop_timeout: Option<Duration>,
}

impl EcsHost {
    /// The task that this process runs in.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn discover() -> Result<Self, MetadataError> {
        Ok(Self { task: EcsTask::read().await?.arn, stop_timeout: stop_timeout() })
    }
}

impl Host for EcsHost {
    fn kind(&self) -> HostKind {
        HostKind::Ecs
    }

    /// The task's ARN, as RunTask returns it to the backend.
    fn instance(&self) -> String {
        self.task.clone()
    }

    /// The `stopTimeout` of its container: the time from SIGTERM to SIGKILL (AWS documentation,
    /// ContainerDefinition). `None` if the backend has not passed it.
    fn kills_after(&self) -> Option<Duration> {
        self.stop_timeout
    }

    /// Exits the process, as [`ProcessHost`] does: the task stops with it.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        ProcessHost.shutdown(reason, code)
    }
}
