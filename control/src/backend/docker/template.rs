//! What all containers of a pool have in common, and the container of one runner: pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig};
use flame_runner_shim::host;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::FlameParent;

use super::builder::{DockerBuilder, Gpus};
use super::engine::ListedContainer;
use crate::backend::options::{command_problem, env_problems};
use crate::backend::owner::{Owner, PLACE_TAG};
use crate::backend::sweep::Listed;
use crate::backend::times::stop_seconds;

/// The labels that begin with this are the backend's own.
const OWN_LABELS: &str = "flame:";
const MIB: i64 = 1024 * 1024;

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
        let stop_timeout = stop_seconds(shutdown_timeout);
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
        let labels = owner.tags(runner, ends_by).map(|(name, value)| (name.to_owned(), value));
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
    problems.extend(command_problem(options.command.as_deref()));
    problems.extend(env_problems(&options.env));
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
        self.tag(PLACE_TAG)
    }
}

#[cfg(test)]
mod tests;
