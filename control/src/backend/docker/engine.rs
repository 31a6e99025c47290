//! The requests to the engine. Each has a time limit, and its answer and its errors are plain
//! values.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, EventsOptions, ListContainersOptions, LogsOptions,
    RemoveContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::endpoint::Endpoint;
use super::failure::{EngineError, ErrorKind};
use super::network::OwnContainer;
use super::pull::PullStatus;
use super::retry::{BUSY, retry};
use crate::backend::OutputStream;
use crate::size::Size;

mod client;
mod convert;

use client::{client, with_readable_credentials};
use convert::{error, event_of, listed_container};

/// How long the engine may take to answer a question.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// How long the engine may take to kill a container, and then to remove it. With the question before
/// them, a stop stays within the 30 s that a pool waits.
const KILL: Duration = Duration::from_secs(5);
const REMOVAL: Duration = Duration::from_secs(12);
/// The states of a container whose process exists.
const LIVE: [&str; 2] = ["running", "paused"];
/// bollard's own limit, in seconds. It is longer than any of ours, which name the request.
const CLIENT_LIMIT: u64 = 3600;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Engine {
    docker: Docker,
    is_local: bool,
}

/// The state of a container, as far as the backend reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ContainerState {
    pub(super) is_running: bool,
    pub(super) exit_code: Option<i32>,
    pub(super) oom_killed: bool,
    /// The engine's own words, if it could not run the container.
    pub(super) error: String,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ListedContainer {
    pub(super) name: String,
    /// Whether the engine is removing it.
    pub(super) is_going: bool,
    pub(super) created: Option<i64>,
    pub(super) labels: HashMap<String, String>,
}

/// An event of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerEvent {
    pub(super) name: String,
    pub(super) action: String,
    pub(super) exit_code: Option<i32>,
}

impl Engine {
    /// Connects to the engine, and agrees on a version of the API.
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, EngineError> {
        let docker = client(endpoint)?;
        let negotiated = within(QUESTION, docker.negotiate_version()).await;
        let docker = negotiated.map_err(|error| error.of_first_request(&endpoint.transport))?;
        Ok(Self { docker, is_local: endpoint.is_local() })
    }

    /// Whether the engine runs on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The engine's clock, as text that it accepts itself.
    pub(super) async fn time(&self) -> Result<Option<String>, EngineError> {
        Ok(question(|| self.docker.info()).await?.system_time)
    }

    /// The processors and the memory of the engine's machine.
    pub(super) async fn machine(&self) -> Result<Size, EngineError> {
        let info = question(|| self.docker.info()).await?;
        let mib = info.mem_total.and_then(|bytes| u32::try_from(bytes >> 20).ok());
        let cpus = info.ncpu.and_then(|count| u32::try_from(count).ok()).map(f64::from);
        Ok(Size { vcpus: cpus, memory_mib: mib, ..Size::new() })
    }

    pub(super) async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        found(question(|| self.docker.inspect_image(image)).await).map(|found| found.is_some())
    }

    /// Pulls an image: its name without and with its tag or digest.
    pub(super) fn pull(
        &self,
        name: String,
        tag: String,
        credentials: Option<(String, String)>,
    ) -> impl Stream<Item = Result<PullStatus, EngineError>> + use<> {
        let credentials =
            credentials.map(|(username, password)| bollard::auth::DockerCredentials {
                username: Some(username),
                password: Some(password),
                ..Default::default()
            });
        let options = CreateImageOptions {
            from_image: Some(name),
            tag: Some(tag),
            ..CreateImageOptions::default()
        };
        let docker = self.docker.clone().with_request_modifier(with_readable_credentials);
        docker.create_image(Some(options), None, credentials).map(|status| {
            let status = status.map_err(error)?;
            if let Some(message) = status.error_detail.and_then(|detail| detail.message) {
                return Err(EngineError { kind: ErrorKind::Reported, message });
            }
            let detail = status.progress_detail.unwrap_or_default();
            let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
            Ok(PullStatus {
                layer: status.id.unwrap_or_default(),
                text: status.status.unwrap_or_default(),
                done: bytes(detail.current),
                total: bytes(detail.total),
            })
        })
    }

    /// The gateway of a network, if it has one; `None` if there is no such network.
    pub(super) async fn network(&self, name: &str) -> Result<Option<Option<IpAddr>>, EngineError> {
        let asked = || self.docker.inspect_network(name, None);
        let Some(network) = found(question(asked).await)? else { return Ok(None) };
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateways = configs.into_iter().filter_map(|config| config.gateway?.parse().ok());
        // A runner's image may lack IPv6.
        let gateways: Vec<IpAddr> = gateways.collect();
        Ok(Some(gateways.iter().find(|ip| ip.is_ipv4()).or(gateways.first()).copied()))
    }

    /// The container that this process runs in, if it is one of this engine.
    ///
    /// The list is asked, not the container itself: its environment would be in the answer, and
    /// bollard logs answers at DEBUG.
    pub(super) async fn own_container(
        &self,
        id: &str,
    ) -> Result<Option<OwnContainer>, EngineError> {
        let listed = self.summaries([("id", id)], &LIVE).await?;
        let Some(own) = listed.into_iter().find(|one| one.id.as_deref() == Some(id)) else {
            return Ok(None);
        };
        let networks = own.network_settings.and_then(|settings| settings.networks);
        let address = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let networks = networks.unwrap_or_default().into_iter();
        let mode = own.host_config.and_then(|config| config.network_mode).unwrap_or_default();
        Ok(Some(OwnContainer {
            id: id.to_owned(),
            image: own.image_id.unwrap_or_default(),
            mode,
            networks: networks.map(|(name, there)| (name, address(there.ip_address))).collect(),
        }))
    }

    /// Whether the engine runs the container with this id.
    pub(super) async fn runs(&self, id: &str) -> Result<bool, EngineError> {
        let listed = self.summaries([("id", id)], &LIVE).await?;
        Ok(listed.into_iter().any(|one| one.id.as_deref() == Some(id)))
    }

    /// The names of the containers with this label that run.
    pub(super) async fn running(&self, label: &str) -> Result<HashSet<String>, EngineError> {
        let listed = self.summaries([("label", label)], &LIVE).await?;
        Ok(listed.into_iter().map(|one| listed_container(one).name).collect())
    }

    /// All containers with this label, whether they run or not.
    pub(super) async fn list(&self, label: &str) -> Result<Vec<ListedContainer>, EngineError> {
        let listed = match self.summaries([("label", label)], &[]).await {
            // podman has a state that bollard does not know, for containers that have just ended.
            Err(EngineError { kind: ErrorKind::Client, .. }) => {
                self.summaries([("label", label)], &LIVE).await
            }
            listed => listed,
        };
        Ok(listed?.into_iter().map(listed_container).collect())
    }

    /// Lists containers. Without `states`, those in every state.
    async fn summaries(
        &self,
        filters: [(&str, &str); 1],
        states: &[&str],
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut filters = filters_of(filters);
        if !states.is_empty() {
            filters.insert("status".to_owned(), states.iter().map(|&it| it.to_owned()).collect());
        }
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..ListContainersOptions::default()
        };
        question(|| self.docker.list_containers(Some(options.clone()))).await
    }

    /// Creates a container.
    ///
    /// Its environment has FLAME_PARENT, and bollard logs the requests that it makes itself at
    /// DEBUG and TRACE. So bollard makes an empty request here, and gets the real one at the last
    /// step, as a stream, which it does not log.
    pub(super) async fn create(
        &self,
        name: &str,
        container: &ContainerCreateBody,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let client = |message: String| EngineError { kind: ErrorKind::Client, message };
        let body = serde_json::to_vec(container).map_err(|error| client(error.to_string()))?;
        let body = Bytes::from(body);
        let docker = self.docker.clone().with_request_modifier(move |request| {
            let body = body.clone();
            request.map(|_| bollard::body_stream(stream::iter([body])))
        });
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        let created = docker.create_container(Some(options), ContainerCreateBody::default());
        within(limit, created).await.map(drop)
    }

    pub(super) async fn start(&self, name: &str, limit: Duration) -> Result<(), EngineError> {
        within(limit, self.docker.start_container(name, None)).await
    }

    /// The state of a container; `None` if there is no such container.
    pub(super) async fn state(&self, name: &str) -> Result<Option<ContainerState>, EngineError> {
        let asked = || self.docker.inspect_container(name, None);
        let Some(container) = found(question(asked).await)? else { return Ok(None) };
        let state = container.state.unwrap_or_default();
        Ok(Some(ContainerState {
            is_running: state.running.unwrap_or_default(),
            exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
            oom_killed: state.oom_killed.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
        }))
    }

    /// Kills a container if it runs, and removes it with its anonymous volumes. Succeeds if there is
    /// no such container.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        // podman removes a container that runs only after SIGTERM and the time that it has then.
        let killed = within(KILL, self.docker.kill_container(name, None)).await;
        match killed {
            // It does not run, or does not exist: the removal says which.
            Ok(()) | Err(EngineError { kind: ErrorKind::Status(_), .. }) => {}
            Err(error) => return Err(error),
        }
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        match within(REMOVAL, self.docker.remove_container(name, Some(options))).await {
            Err(error) if error.is_not_found() || error.is_being_removed() => Ok(()),
            removed => removed,
        }
    }

    /// The events of the containers with this label, from a time of the engine's clock on.
    pub(super) fn events(
        &self,
        label: &str,
        since: Option<String>,
    ) -> impl Stream<Item = Result<ContainerEvent, EngineError>> + use<> {
        let filters = filters_of([("label", label), ("type", "container")]);
        let options = EventsOptions { since, until: None, filters: Some(filters) };
        let events = self.docker.events(Some(options));
        events.filter_map(async |event| event.map_err(error).map(event_of).transpose())
    }

    /// What a container prints, from a time in seconds of Unix time on, until it ends.
    pub(super) fn output(
        &self,
        name: &str,
        since: i64,
    ) -> impl Stream<Item = Result<(OutputStream, Bytes), EngineError>> + use<> {
        use bollard::container::LogOutput;
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            since: i32::try_from(since).unwrap_or_default(),
            ..LogsOptions::default()
        };
        self.docker.logs(name, Some(options)).map(|chunk| {
            Ok(match chunk.map_err(error)? {
                LogOutput::StdErr { message } => (OutputStream::Stderr, message),
                LogOutput::StdOut { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message } => (OutputStream::Stdout, message),
            })
        })
    }
}

async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, EngineError> {
    match timeout(limit, request).await {
        Ok(answer) => answer.map_err(error),
        Err(_) => Err(EngineError { kind: ErrorKind::NoAnswer(limit), message: String::new() }),
    }
}

/// Asks the engine something. podman looks at all containers for some answers, and fails if one of them
/// is just ending: so the question is asked again.
async fn question<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn() -> F,
) -> Result<T, EngineError> {
    let asking = |_| within(QUESTION, ask());
    retry(Instant::now() + BUSY, EngineError::is_internal, asking).await
}

fn found<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn filters_of<const N: usize>(filters: [(&str, &str); N]) -> HashMap<String, Vec<String>> {
    filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into()
}
