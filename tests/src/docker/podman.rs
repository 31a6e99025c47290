//! podman with storage of its own, which serves Docker's API at a socket.
//!
//! Everything is in one folder: see `storage.rs`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;

use super::Engine;
use super::storage::Storage;
use crate::{TempDir, process};

/// The service exits after this many seconds without a client, in case the suite was killed.
const IDLE_SECONDS: u32 = 600;

/// A podman, and the service that it runs. Stops everything and deletes the folder when it is
/// dropped.
#[derive(Debug)]
pub struct Podman {
    storage: Storage,
    folder: TempDir,
    service: Mutex<Option<Child>>,
}

impl Podman {
    /// Starts podman, and its service.
    ///
    /// # Errors
    /// Returns a sentence that says why it can't be started.
    pub fn start() -> Result<Self, String> {
        Self::prepare(|_| Ok(()))
    }

    /// The same, with registries at these addresses of this machine, which speak no TLS.
    ///
    /// # Errors
    /// Returns a sentence that says why it can't be started.
    pub fn with_registries(addresses: &[&str]) -> Result<Self, String> {
        let names = addresses
            .iter()
            .flat_map(|address| [(*address).to_owned(), address.replace("127.0.0.1", "localhost")]);
        let registries: String = names
            .map(|name| format!("[[registry]]\nlocation = \"{name}\"\ninsecure = true\n"))
            .collect();
        Self::prepare(|podman| {
            podman.storage.set_registries(&registries).map_err(|error| error.to_string())
        })
    }

    /// The same, but podman notices only after a second that a container is dead.
    ///
    /// # Errors
    /// Returns a sentence that says why it can't be started.
    pub fn that_finishes_slowly() -> Result<Self, String> {
        Self::prepare(|podman| podman.storage.finish_slowly().map_err(|error| error.to_string()))
    }

    /// The same, on a disk of its own that has this many MiB.
    ///
    /// # Errors
    /// Returns a sentence that says why it can't be started.
    pub fn on_small_disk(mib: u32) -> Result<Self, String> {
        Self::prepare(|podman| {
            let root = podman.root();
            std::fs::create_dir(&root).map_err(|error| error.to_string())?;
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "flame-tests"]).arg(&root);
            let status = mount.status().map_err(|error| error.to_string())?;
            if status.success() { Ok(()) } else { Err(format!("mount failed: {status}")) }
        })
    }

    fn prepare(prepare: impl FnOnce(&Self) -> Result<(), String>) -> Result<Self, String> {
        let folder = TempDir::new();
        let storage = Storage::new(folder.path(), folder.path().join("root"));
        let storage = storage.map_err(|error| error.to_string())?;
        let podman = Self { storage, folder, service: Mutex::new(None) };
        prepare(&podman)?;
        podman.serve()?;
        Ok(podman)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The folder in which podman stores images and containers.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The address of the service.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The engine, with the image of the suite. Blocks.
    ///
    /// # Errors
    /// Returns a sentence that says why the image could not be imported.
    pub fn engine(&self) -> Result<Engine, String> {
        Engine::at(self.host())
    }

    /// Starts the service, which must not run, and waits until it answers.
    ///
    /// # Errors
    /// Returns a sentence that says why it can't be started.
    pub fn serve(&self) -> Result<(), String> {
        let _ = std::fs::remove_file(self.socket());
        let log = std::fs::File::create(self.folder.path().join("log"));
        let mut service = self.storage.command();
        service.args(["system", "service", &format!("--time={IDLE_SECONDS}"), &self.host()]);
        service.stdout(Stdio::null()).stderr(log.map_err(|error| error.to_string())?);
        let service = service.spawn().map_err(|error| {
            format!(
                "podman can't be started ({error}): install it, on Debian and Ubuntu with `apt-get \
                 install --no-install-recommends podman runc catatonit`, or set DOCKER_HOST"
            )
        })?;
        *self.service.lock().expect("nothing panics with the lock") = Some(service);
        for _ in 0..3000 {
            if std::os::unix::net::UnixStream::connect(self.socket()).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        Err(format!("podman does not serve its API: {log}"))
    }

    /// Kills the service. Its containers run on.
    pub fn kill(&self) {
        let service = self.service.lock().expect("nothing panics with the lock").take();
        if let Some(mut service) = service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Stops the service as Ctrl-Z does, so that it answers nothing, or lets it go on.
    pub fn pause(&self, paused: bool) {
        let service = self.service.lock().expect("nothing panics with the lock");
        let pid = service.as_ref().expect("the service runs").id();
        process::signal(pid, if paused { Signal::STOP } else { Signal::CONT });
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.kill();
        self.storage.remove_containers();
    }
}
