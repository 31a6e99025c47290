//! A Docker engine for tests, whose containers are copies of the suite.
//!
//! With [`ENV`] set, a suite runs on it. As root it starts podman, which serves Docker's API, with
//! storage of its own (`podman.rs`), so that a test may restart the engine, stop it or fill its
//! disk. Otherwise it uses the engine at DOCKER_HOST, and tests that need an engine of their own are
//! shown as ignored.
//!
//! The image is empty. The machine's programs and libraries, and the suite itself, are mounted into
//! each container. Only tests of pulls need a registry (`registry.rs`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptions, ListContainersOptions};
use bytes::Bytes;
use flame_aws::backend::{Docker, DockerBuilder};
use futures_util::TryStreamExt;

use crate::{Test, requiring};

mod podman;
mod recorder;
mod registry;
pub(crate) mod storage;

pub use podman::Podman;
pub use recorder::Recorder;
pub use registry::{PASSWORD, Registry, USER};

/// The variable that makes suites run on a Docker engine.
pub const ENV: &str = "FLAME_TEST_DOCKER";

/// An archive without files: two blocks of zeros.
const EMPTY_ARCHIVE: &[u8] = &[0; 1024];

/// Returns whether this suite is to run on a Docker engine.
#[must_use]
pub fn asked_for() -> bool {
    std::env::var_os(ENV).is_some()
}

/// An engine that has the image of the suite.
#[derive(Debug, Clone)]
pub struct Engine {
    host: String,
    image: String,
}

/// The engine that the tests of a suite share.
static SHARED: Mutex<Option<Result<Shared, String>>> = Mutex::new(None);

struct Shared {
    engine: Engine,
    /// podman, if the suite has started it.
    podman: Option<Podman>,
}

impl Shared {
    fn start() -> Result<Self, String> {
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            return Ok(Self { engine: Engine::at(host)?, podman: None });
        }
        let podman = Podman::start()?;
        Ok(Self { engine: podman.engine()?, podman: Some(podman) })
    }
}

/// Returns the engine that the tests of this suite share. Blocks while it starts.
///
/// # Panics
/// Panics if there is none: a suite that is asked to run on an engine is never skipped.
#[must_use]
pub fn shared() -> Engine {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    match shared.get_or_insert_with(Shared::start) {
        Ok(shared) => shared.engine.clone(),
        Err(error) => panic!("{error}"),
    }
}

/// Stops the shared engine, if this suite has started it.
///
/// # Errors
/// Returns the names of containers that were left over. They are removed.
pub fn end() -> Result<(), String> {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Ok(Shared { engine, podman })) = shared else { return Ok(()) };
    let left = engine.blocking(async |engine| engine.left_over().await);
    drop(podman);
    left
}

/// Marks tests that need an engine of their own, which only root can start.
#[must_use]
pub fn with_own_engine(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || Ok(own_engine_missing()))
}

/// Why a suite can't start an engine of its own.
fn own_engine_missing() -> Option<String> {
    if !asked_for() {
        return Some(format!("set {ENV}, or run `cargo xtask test docker`"));
    }
    let has_own = std::env::var_os("DOCKER_HOST").is_none();
    (!has_own).then(|| "DOCKER_HOST names an engine that others may use".to_owned())
}

/// Marks tests that need an engine of their own, and a registry for images.
#[must_use]
pub fn with_registry(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || match own_engine_missing() {
        Some(reason) => Ok(Some(reason)),
        None => Ok(Registry::missing()),
    })
}

/// Marks tests that run on the shared engine.
#[must_use]
pub fn with_engine(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || {
        Ok((!asked_for()).then(|| format!("set {ENV}, or run `cargo xtask test docker`")))
    })
}

impl Engine {
    /// The engine at this address. Gives it the image of the suite. Blocks.
    fn at(host: String) -> Result<Self, String> {
        let engine = Self { host, image: String::new() };
        let image = engine
            .blocking(async |engine| engine.import(Bytes::from_static(EMPTY_ARCHIVE)).await)?;
        Ok(Self { image, ..engine })
    }

    /// Makes an image of a tar archive. Returns its id.
    async fn import(&self, archive: Bytes) -> Result<String, String> {
        let options =
            CreateImageOptions { from_src: Some("-".to_owned()), ..CreateImageOptions::default() };
        let client = self.client();
        let imported = client.create_image(Some(options), Some(bollard::body_full(archive)), None);
        let messages = imported.try_collect::<Vec<_>>().await;
        let messages = messages.map_err(|error| format!("the image was not imported: {error}"))?;
        let id = messages.into_iter().filter_map(|message| message.status).next_back();
        id.ok_or_else(|| "the engine did not name the image".to_owned())
    }

    /// Runs on a runtime of its own, for callers on a runtime and for those without.
    fn blocking<T: Send>(&self, run: impl AsyncFnOnce(&Self) -> T + Send) -> T {
        std::thread::scope(|scope| {
            let running = scope.spawn(|| crate::runtime().block_on(run(self)));
            running.join().expect("nothing panics there")
        })
    }

    /// The engine's address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The id of the image of the suite.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// A client for the engine.
    ///
    /// # Panics
    /// Panics if the engine is gone.
    #[must_use]
    pub fn client(&self) -> bollard::Docker {
        bollard::Docker::connect_with_host(&self.host).expect("the engine is there")
    }

    /// A backend whose runners are copies of the suite.
    pub fn backend(&self) -> DockerBuilder {
        let suite = std::env::current_exe().expect("the suite has a path");
        self.backend_of(&suite)
    }

    /// A backend whose runners start this executable.
    pub fn backend_of(&self, executable: &Path) -> DockerBuilder {
        let path = executable.to_str().expect("the path is text");
        let mut backend = Docker::builder().host(&self.host).image(&self.image).command([path]);
        for mount in mounts(path) {
            backend = backend.bind(mount);
        }
        match std::env::var("DEMO_TRACE") {
            Ok(filter) => backend.env("DEMO_TRACE", filter),
            Err(_) => backend,
        }
    }

    /// The names of all containers of runners, whether they run or not.
    pub async fn containers(&self) -> Vec<String> {
        self.with_label("flame:runner").await
    }

    /// The names of all containers with this label, whether they run or not.
    pub async fn with_label(&self, label: &str) -> Vec<String> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options =
            ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let mut listed = self.client().list_containers(Some(options.clone())).await;
        // podman has a state that the client does not know, for containers that are just ending.
        for _ in 0..100 {
            let Err(Error::JsonDataError { .. }) = listed else { break };
            tokio::time::sleep(Duration::from_millis(50)).await;
            listed = self.client().list_containers(Some(options.clone())).await;
        }
        let names = listed.expect("the engine lists containers").into_iter();
        let names = names.flat_map(|container| container.names.unwrap_or_default());
        names.map(|name| name.trim_start_matches('/').to_owned()).collect()
    }

    /// Waits until there is no container of a runner, for 30 s.
    ///
    /// # Errors
    /// Returns the names of those that are left over.
    pub async fn left_over(&self) -> Result<(), String> {
        let mut left = Vec::new();
        for _ in 0..600 {
            left = self.containers().await;
            if left.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("containers are left over: {left:?}"))
    }
}

/// The mounts that an image without files needs to start a program of this machine.
#[must_use]
pub fn mounts(program: &str) -> Vec<String> {
    [libraries(), vec![read_only(program)]].concat()
}

/// Mounts of this machine's programs and libraries.
pub(crate) fn libraries() -> Vec<String> {
    let folders = ["/usr", "/lib", "/lib64", "/bin"];
    folders.into_iter().filter(|folder| Path::new(folder).exists()).map(read_only).collect()
}

fn read_only(path: &str) -> String {
    format!("{path}:{path}:ro")
}
