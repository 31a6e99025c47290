//! An ECS task: it learns its own name from the task's metadata endpoint.
//!
//! Each container has `ECS_CONTAINER_METADATA_URI_V4` in its environment: the address of an HTTP
//! endpoint on the task's own network, without TLS or credentials (AWS documentation, "Task
//! metadata endpoint version 4"). A parent on ECS asks it, too: what it is itself is the default of
//! what it boots.

use std::net::Ipv4Addr;
use std::time::Duration;

use flame_wire::message::EndReason;
use flame_wire::parent::HostKind;
use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Host, ProcessHost};

#[cfg(test)]
mod tests;

/// The variable that names the endpoint.
pub const METADATA_URI_ENV: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The variable by which a backend tells a runner its container's `stopTimeout`, in seconds: ECS tells
/// it to nobody inside the task.
pub const STOP_TIMEOUT_ENV: &str = "FLAME_STOP_TIMEOUT";

/// How long one question may take. The endpoint is on this machine, and answers in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is asked, and how long to wait in between: it may be a little later up than the
/// container, and limits its rate.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Why a process can't tell which ECS task it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The variable is not there.
    #[error(
        "this process is to be a runner on ECS, but {METADATA_URI_ENV} is not set: it is no container of \
         an ECS task, or the platform version of Fargate is older than 1.4.0"
    )]
    NotOnEcs,
    /// The endpoint gives no answer, or not the right one.
    #[error(
        "the metadata endpoint of this ECS task, {address}, can't be read: {why}; look whether \
         something in the task blocks the link-local address, or a proxy takes its place"
    )]
    Unreadable {
        /// What was asked.
        address: String,
        /// What came of it.
        why: String,
    },
}

/// An ECS task that this process is a container of.
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
    /// Whether this process is a container of an ECS task at all.
    #[must_use]
    pub fn runs_on_ecs() -> bool {
        endpoint().is_some()
    }

    /// Asks the endpoint. Takes some milliseconds; 9 s at most.
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

/// The container of an ECS task that this process is in.
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
    /// Asks the endpoint. Takes some milliseconds; 9 s at most.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn read() -> Result<Self, MetadataError> {
        let ContainerMetadata { name, networks } =
            request(&endpoint().ok_or(MetadataError::NotOnEcs)?).await?;
        Ok(Self { name, address: own_address(networks) })
    }
}

/// An address that others in the VPC can dial: that of a bridge is known to its host alone.
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
        why: whole(error),
    };
    // The address is link-local: a proxy that is meant for the app has no way to it.
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

/// An error and its causes: reqwest's own words say only that something went wrong.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", whole(source)),
        None => error.to_string(),
    }
}

/// A container of an ECS task.
///
/// Its process is the task's essential one: that it exits stops the task, and needs no permission.
/// Should the task have other essential containers, ECS stops them, too (AWS documentation, "Task
/// definition parameters", `essential`). So a runner needs no client for the ECS API.
#[derive(Debug, Clone)]
pub struct EcsHost {
    task: String,
    stop_timeout: Option<Duration>,
}

impl EcsHost {
    /// The task that this process is in.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn discover() -> Result<Self, MetadataError> {
        let stop_timeout = std::env::var(STOP_TIMEOUT_ENV).ok().and_then(|text| seconds(&text));
        Ok(Self { task: EcsTask::read().await?.arn, stop_timeout })
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs)
}

impl Host for EcsHost {
    fn kind(&self) -> HostKind {
        HostKind::Ecs
    }

    /// The task's ARN, as RunTask gives it to the backend.
    fn instance(&self) -> String {
        self.task.clone()
    }

    /// The `stopTimeout` of its container: from SIGTERM to SIGKILL (AWS documentation,
    /// ContainerDefinition). None where the backend has not told it.
    fn kills_after(&self) -> Option<Duration> {
        self.stop_timeout
    }

    /// Leaves the process, as [`ProcessHost`] does: the task stops with it.
    fn shutdown(&self, reason: EndReason, code: i32) -> BoxFuture<'static, ()> {
        ProcessHost.shutdown(reason, code)
    }
}
