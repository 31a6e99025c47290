//! The options of the Docker backend.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Docker;
use super::pull::PullPolicy;
use crate::backend::options::set_twice;
use crate::backend::sweep::Sweeping;
use crate::size::Size;

/// The options of a [`Docker`] backend.
///
/// A setting that is not set here comes from the environment, if a variable is named below. All
/// settings are checked when the pool starts.
#[derive(Clone)]
#[must_use = "call `build` to get the backend"]
pub struct DockerBuilder {
    pub(super) host: Option<String>,
    pub(super) certificates: Option<PathBuf>,
    pub(super) image: Option<String>,
    pub(super) pull: PullPolicy,
    pub(super) credentials: Option<(String, String)>,
    pub(super) command: Option<Vec<String>>,
    pub(super) cpus: Option<f64>,
    pub(super) memory: Option<u32>,
    pub(super) gpus: Option<Gpus>,
    pub(super) network: Option<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) binds: Vec<String>,
    pub(super) init: bool,
    pub(super) sweep: Sweeping,
}

/// The GPUs of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gpus {
    All,
    Count(u32),
}

impl Default for DockerBuilder {
    fn default() -> Self {
        Self {
            host: None,
            certificates: None,
            image: None,
            pull: PullPolicy::default(),
            credentials: None,
            command: None,
            cpus: None,
            memory: None,
            gpus: None,
            network: None,
            env: Vec::new(),
            labels: Vec::new(),
            binds: Vec::new(),
            init: true,
            sweep: Sweeping::default(),
        }
    }
}

impl fmt::Debug for DockerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `env` and `credentials`: they have secrets.
        f.debug_struct("DockerBuilder")
            .field("host", &self.host)
            .field("image", &self.image)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl DockerBuilder {
    /// These options, with the pool's size. What is set in both places, and what a container can't
    /// have, is appended to `problems`.
    pub(super) fn sized(&self, size: &Size, problems: &mut Vec<String>) -> Self {
        let (cpus, memory) = (self.cpus.is_some(), self.memory.is_some());
        problems.extend(set_twice(size, cpus, memory, self.gpus.is_some()));
        if size.storage_gib.is_some() {
            problems.push(
                "`size` has storage, and containers share the disk of the engine's machine: leave \
                 it out"
                    .to_owned(),
            );
        }
        let gpus = size.gpus.filter(|count| *count > 0).map(Gpus::Count);
        Self {
            cpus: size.vcpus.or(self.cpus),
            memory: size.memory_mib.or(self.memory),
            gpus: gpus.or(self.gpus),
            ..self.clone()
        }
    }

    /// The backend. It makes no request to the engine before its pool starts.
    #[must_use]
    pub fn build(self) -> Docker {
        Docker::new(self)
    }

    /// The engine's address: `unix:///var/run/docker.sock`, `tcp://host:port`, or, with TLS,
    /// `https://host:port`. `DOCKER_HOST`; default: `unix:///var/run/docker.sock`, on Windows the
    /// pipe `docker_engine`.
    pub fn host(mut self, url: impl Into<String>) -> Self {
        self.host = Some(url.into());
        self
    }

    /// Uses TLS, with `ca.pem`, `cert.pem` and `key.pem` of this folder. `DOCKER_CERT_PATH`, if
    /// `DOCKER_TLS_VERIFY` is set; default: no TLS. A socket never uses TLS.
    pub fn tls(mut self, folder: impl Into<PathBuf>) -> Self {
        self.certificates = Some(folder.into());
        self
    }

    /// The image of the runners, such as `registry.example.com/app:1`, or the id of an image that the
    /// engine has. `FLAME_DOCKER_IMAGE`; default: the image of the container that this process runs
    /// in.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// When the image is pulled. Default: if the engine does not have it. An image that is named by
    /// its id, as that of this process's own container is, is never pulled.
    pub fn pull(mut self, policy: PullPolicy) -> Self {
        self.pull = policy;
        self
    }

    /// The user name and the password, or the token, for the image's registry. Default: none. The
    /// logins of `docker login` are not read.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// The command, which replaces that of the image. It is passed to the image's entry point, or,
    /// if the image has none, begins with the program's path. Default: the image's command.
    pub fn command(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// How many CPUs a runner may use, such as 0.5. Default: all of the engine's machine. The pool's
    /// [`size`](crate::PoolBuilder::size) sets this, `memory` and `gpus` in the words of all
    /// backends.
    pub fn cpus(mut self, count: f64) -> Self {
        self.cpus = Some(count);
        self
    }

    /// The memory of a runner, in MiB, without any swap. If a runner needs more, the kernel kills it.
    /// Default: all of the engine's machine.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = Some(mib);
        self
    }

    /// Gives each runner this many GPUs, if the engine supports it: Docker does with the NVIDIA
    /// Container Toolkit. Default: none.
    pub fn gpus(mut self, count: u32) -> Self {
        self.gpus = Some(Gpus::Count(count));
        self
    }

    /// Gives each runner all GPUs of the engine's machine.
    pub fn all_gpus(mut self) -> Self {
        self.gpus = Some(Gpus::All);
        self
    }

    /// The network of the runners: the name of a network, or `host` for the machine's own.
    /// `FLAME_DOCKER_NETWORK`; default: the network of this process's container, or, if this process
    /// runs in no container, the engine's default network.
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = Some(name.into());
        self
    }

    /// Sets an environment variable of the runners, in addition to the image's. Anyone who can
    /// inspect containers can read it.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a label to each container, in addition to the labels for pool, runner and parent. A name
    /// is set once, is not empty, and does not begin with `flame:`.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Mounts a volume, or a path of the engine's machine: `SOURCE:TARGET` or `SOURCE:TARGET:ro`, as
    /// for `docker run --volume`.
    pub fn bind(mut self, volume: impl Into<String>) -> Self {
        self.binds.push(volume.into());
        self
    }

    /// Whether an init program of the engine is process 1 of each container, as with `docker run
    /// --init`. It reaps the processes that functions leave behind. Default: `true`. With `false`
    /// the runner is process 1, and processes that end after their parents remain as zombies until
    /// the runner exits.
    pub fn init(mut self, init: bool) -> Self {
        self.init = init;
        self
    }

    /// How often the pool looks for containers that were left behind, and how old a container must
    /// be to count as one. Default: every 5 min, and 10 min. See [`Docker`] for which containers
    /// these are.
    pub fn sweep(mut self, interval: Duration, age: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(100));
        self.sweep = Sweeping::Every { interval, age };
        self
    }

    /// Switches the search for containers that were left behind off.
    pub fn no_sweep(mut self) -> Self {
        self.sweep = Sweeping::Never;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_s_size_sets_what_is_not_set_here() {
        let mut problems = Vec::new();
        let size = Size::new().vcpus(0.5).memory_mib(512).gpus(2);
        let sized = DockerBuilder::default().sized(&size, &mut problems);
        assert_eq!((sized.cpus, sized.memory), (Some(0.5), Some(512)));
        assert_eq!(sized.gpus, Some(Gpus::Count(2)));
        let unsized_pool = DockerBuilder::default().cpus(2.0).sized(&Size::new(), &mut problems);
        assert_eq!(unsized_pool.cpus, Some(2.0));
        assert_eq!(problems, [""; 0]);
        let _ = DockerBuilder::default().memory(1).sized(&size.storage_gib(9), &mut problems);
        assert!(problems.join(" ").contains("`memory`"), "{problems:?}");
        assert!(problems.join(" ").contains("storage"), "{problems:?}");
    }
}
