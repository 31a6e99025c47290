//! What all containers of a pool have in common, and the container of one runner: pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig};
use flame_runner_shim::host;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::FlameParent;

use super::builder::{DockerBuilder, Gpus};
use super::engine::ListedContainer;
use crate::backend::sweep::{ENDS_BY_TAG, Listed, PARENT_TAG, POOL_TAG, RUNNER_TAG};

/// The label with the [place](crate::backend::place::Place) of the parent.
pub(super) const PLACE_LABEL: &str = "flame:parent-place";
/// The labels that begin with this are the backend's own.
const OWN_LABELS: &str = "flame:";
/// A runner that gets SIGTERM keeps at most this much for its last messages. So the time from
/// SIGTERM to SIGKILL is longer than the shutdown window by this.
const LAST_MESSAGES: Duration = Duration::from_secs(5);
const MIB: i64 = 1024 * 1024;

/// The pool and parent that a container belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pool: String,
    /// The parent's id: a new one for each start of a pool.
    pub(super) parent: String,
    /// The parent's [place](crate::backend::place::Place), encoded.
    pub(super) place: Option<String>,
}

impl Owner {
    /// The label, with its value, of all containers of this pool.
    pub(super) fn pool_label(&self) -> String {
        format!("{POOL_TAG}={}", self.pool)
    }

    /// The label, with its value, of the containers of this parent's pool.
    pub(super) fn parent_label(&self) -> String {
        format!("{PARENT_TAG}={}", self.parent)
    }
}

/// See the [module](self).
#[derive(Clone)]
pub(super) struct Template {
    pub(super) image: String,
    /// Docker's `NetworkMode`.
    pub(super) network: String,
    /// The time from SIGTERM to SIGKILL if somebody stops a container, in seconds.
    stop_timeout: u64,
    options: DockerBuilder,
}

impl Template {
    pub(super) fn new(
        options: &DockerBuilder,
        image: String,
        network: String,
        shutdown_timeout: Duration,
    ) -> Self {
        let stop_timeout = shutdown_timeout.saturating_add(LAST_MESSAGES).as_secs_f64().ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let stop_timeout = stop_timeout as u64;
        Self { image, network, stop_timeout, options: options.clone() }
    }

    /// The container of one runner. FLAME_PARENT is in its environment.
    pub(super) fn container(
        &self,
        owner: &Owner,
        runner: RunnerRef,
        ends_by: Option<i64>,
        flame_parent: &str,
    ) -> ContainerCreateBody {
        let options = &self.options;
        let own = [
            (FlameParent::ENV, flame_parent),
            (host::STOP_TIMEOUT_ENV, &self.stop_timeout.to_string()),
        ];
        let own = own.iter().map(|(name, value)| format!("{name}={value}"));
        let env = own.chain(options.env.iter().map(|(name, value)| format!("{name}={value}")));
        let runner = runner.to_string();
        let ends_by = ends_by.map(|ends_by| ends_by.to_string());
        let labels = [
            (POOL_TAG, Some(&owner.pool)),
            (RUNNER_TAG, Some(&runner)),
            (PARENT_TAG, Some(&owner.parent)),
            (PLACE_LABEL, owner.place.as_ref()),
            (ENDS_BY_TAG, ends_by.as_ref()),
        ];
        let labels =
            labels.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.clone())));
        let host_config = HostConfig {
            network_mode: Some(self.network.clone()),
            init: Some(options.init),
            nano_cpus: options.cpus.map(nano_cpus),
            memory: options.memory.map(|mib| i64::from(mib) * MIB),
            memory_swap: options.memory.map(|mib| i64::from(mib) * MIB),
            device_requests: options.gpus.map(|gpus| vec![gpu_request(gpus)]),
            binds: (!options.binds.is_empty()).then(|| options.binds.clone()),
            ..HostConfig::default()
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: options.command.clone(),
            env: Some(env.collect()),
            labels: Some(labels.chain(options.labels.iter().cloned()).collect::<HashMap<_, _>>()),
            stop_timeout: Some(i64::try_from(self.stop_timeout).unwrap_or(i64::MAX)),
            host_config: Some(host_config),
            ..ContainerCreateBody::default()
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`problems` has checked the range")]
fn nano_cpus(count: f64) -> i64 {
    (count * 1e9).round() as i64
}

fn gpu_request(gpus: Gpus) -> DeviceRequest {
    let count = match gpus {
        Gpus::All => -1,
        Gpus::Count(count) => i64::from(count),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    DeviceRequest { count: Some(count), capabilities, ..DeviceRequest::default() }
}

/// What is wrong with the options, as far as it can be told without the engine.
pub(super) fn problems(options: &DockerBuilder) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(cpus) = options.cpus.filter(|cpus| !(0.001..=10_000.0).contains(cpus)) {
        problems.push(format!("`cpus` is {cpus}: give a number such as 0.5 or 2"));
    }
    if options.memory == Some(0) {
        problems.push("`memory` is 0: give a number of MiB".to_owned());
    }
    if options.gpus == Some(Gpus::Count(0)) {
        problems.push("`gpus` is 0: leave it out for a runner without GPUs".to_owned());
    }
    if options.command.as_ref().is_some_and(Vec::is_empty) {
        problems.push("`command` has no words: leave it out for the image's command".to_owned());
    }
    for (name, _) in &options.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.push(format!("`env` has the name `{name}`, which no variable can have"));
        } else if name == FlameParent::ENV || name == host::STOP_TIMEOUT_ENV {
            problems.push(format!("`env` sets {name}, which the pool sets itself: leave it out"));
        }
    }
    let mut names = HashSet::new();
    for (name, _) in &options.labels {
        if name.is_empty() || name.starts_with(OWN_LABELS) || name.contains('=') {
            problems.push(format!(
                "`label` has the name `{name}`: a name is not empty, contains no `=`, and does not \
                 begin with `{OWN_LABELS}`"
            ));
        } else if !names.insert(name) {
            problems.push(format!("`label` sets `{name}` twice: leave one out"));
        }
    }
    for bind in &options.binds {
        if bind.split(':').count() < 2 {
            problems.push(format!("`bind` is `{bind}`: give `SOURCE:TARGET`"));
        }
    }
    problems
}

impl Listed for ListedContainer {
    fn id(&self) -> &str {
        &self.name
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn created(&self) -> Option<i64> {
        self.created
    }

    /// A container that has exited is not ending by itself: somebody must remove it.
    fn is_ending(&self) -> bool {
        self.is_going
    }

    fn parent(&self) -> Option<&str> {
        self.tag(PLACE_LABEL)
    }
}

#[cfg(test)]
mod tests;
