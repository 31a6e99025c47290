//! The images of the relay, of the generic runner and of an app, which podman builds from this checkout. A
//! container of an image is a program for tests, with a root filesystem that is read-only and the network
//! of this machine.
//!
//! The builds take minutes, so podman keeps their layers in the target directory, and builds again only
//! what has changed. Where the images can't be pulled on which they are built, others stand in for them
//! (`stand_ins.rs`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::docker::libraries;
use crate::docker::storage::Storage;
use crate::{TempDir, Test, requiring};

mod changed;
mod stand_ins;

pub use changed::CHANGE;

/// The variable that asks for the images.
pub const ENV: &str = "FLAME_TEST_IMAGES";
/// The root of this checkout.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The user of all images.
const USER: &str = "65532";
/// How many lines of a failed build the error has.
const LAST_LINES: usize = 30;

/// An image that is built with a Dockerfile of `cdk/images/`.
#[derive(Debug, Clone, Copy)]
pub struct Image {
    name: &'static str,
    /// The folder of its Dockerfile.
    folder: &'static str,
    /// The arguments of its build.
    arguments: &'static [&'static str],
}

/// The relay.
pub const RELAY: Image = Image { name: "relay", folder: "relay", arguments: &[] };
/// The generic runner.
pub const RUNNER: Image = Image { name: "runner", folder: "runner", arguments: &[] };
/// The app `examples/hello`, whose runners have the same image.
pub const APP: Image = Image {
    name: "app",
    folder: "app",
    arguments: &["--build-arg=APP=hello", "--build-arg=PACKAGE=flame-example-hello"],
};
/// The same app after a change of its source: it prints [`CHANGE`] where the other one prints `primes`. It is
/// built after the other one, and anew in each run of a suite.
pub const CHANGED_APP: Image = Image { name: "changed-app", ..APP };

/// The built images.
struct Built {
    storage: Storage,
    /// Has the programs, and the logs of the builds.
    folder: TempDir,
    /// The ids of the images that the build of [`CHANGED_APP`] has made, with those of its layers.
    of_change: Vec<String>,
}

static BUILT: Mutex<Option<Result<Built, String>>> = Mutex::new(None);

/// Marks tests that run the images. They need podman, root and minutes, so somebody has to ask.
#[must_use]
pub fn with_images(tests: Vec<Test>) -> Vec<Test> {
    requiring(tests, || {
        if std::env::var_os(ENV).is_none() {
            return Ok(Some(format!("set {ENV}, or run `cargo xtask test --containers`")));
        }
        with_storage(|_| ()).map(|()| None)
    })
}

/// Removes all containers of images. For the end of a suite.
pub(crate) fn end() {
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Ok(Built { storage, folder, of_change })) = built {
        storage.remove_containers();
        changed::remove(&storage, &of_change);
        drop(folder);
    }
}

impl Image {
    /// A program that runs a container of this image, with its own environment and arguments. It
    /// passes signals on, and its exit code is the container's.
    ///
    /// # Panics
    /// Panics if the images are not built: see [`with_images`].
    #[must_use]
    pub fn program(self) -> PathBuf {
        with_storage(|storage| storage.program(self.name)).expect("the images are built")
    }

    /// Checks each running container of the image: its program is not root, and can't write to its
    /// root filesystem. Returns how many containers there are.
    ///
    /// # Panics
    /// Panics if a container is different.
    #[must_use]
    pub fn check_containers(self) -> usize {
        let filter = format!("--filter=ancestor={}", self.tag());
        let ask = |storage: &Storage| {
            output(storage.command().args(["ps", &filter, "--format={{.Pid}}"]))
        };
        let pids = with_storage(ask).flatten().expect("podman lists containers");
        let read = |pid: &str, file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the container runs")
        };
        for pid in pids.lines() {
            let status = read(pid, "status");
            let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("proc(5)");
            assert!(ids.split_whitespace().all(|id| id == USER), "{self:?} runs as {ids}");
            let mounts = read(pid, "mountinfo");
            let mut fields = mounts.lines().map(|line| line.split(' ').skip(4));
            let root = fields.find_map(|mut of| (of.next() == Some("/")).then(|| of.next()));
            let options = root.flatten().expect("proc(5)");
            assert!(options.split(',').any(|option| option == "ro"), "{self:?}: {options}");
        }
        pids.lines().count()
    }

    /// What the build of the image has printed. It says little of layers that podman has kept.
    ///
    /// # Panics
    /// Panics if the images are not built: see [`with_images`].
    #[must_use]
    pub fn build_log(self) -> String {
        with_built(|built| std::fs::read_to_string(self.log(&built.folder)))
            .expect("the images are built")
            .expect("the build has a log")
    }

    fn log(self, folder: &TempDir) -> PathBuf {
        folder.path().join(format!("{}.log", self.name))
    }

    fn tag(self) -> String {
        format!("localhost/flame-tests/{}:1", self.name)
    }

    fn dockerfile(self) -> PathBuf {
        Path::new(ROOT).join("cdk/images").join(self.folder).join("Dockerfile")
    }

    /// Builds the image from the sources in a folder.
    fn build(
        self,
        storage: &Storage,
        sources: &Path,
        log: &Path,
        arguments: &[String],
    ) -> Result<(), String> {
        eprintln!("images: podman builds {} for {}", self.dockerfile().display(), self.name);
        let file = |error: std::io::Error| format!("{}: {error}", log.display());
        let stdout = File::create(log).map_err(file)?;
        let stderr = stdout.try_clone().map_err(file)?;
        let mut build = storage.command();
        build
            .args(["build", "--network=host", "--pull-never", "--tag", &self.tag()])
            .args(arguments)
            .args(self.arguments)
            .arg("--file")
            .arg(self.dockerfile())
            .arg(sources)
            .stdout(stdout)
            .stderr(stderr);
        let status = build.status().map_err(|error| format!("podman can't be started: {error}"))?;
        if status.success() {
            return self.write_program(storage);
        }
        let printed = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<_> = printed.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        Err(format!("{} was not built: {status}\n{last}", self.dockerfile().display()))
    }

    fn write_program(self, storage: &Storage) -> Result<(), String> {
        let mut run: Vec<String> = [
            "run",
            "--rm",
            "--pull=never",
            "--read-only",
            "--read-only-tmpfs=false",
            "--network=host",
            "--env-host",
            "--http-proxy=false",
            "--log-driver=passthrough",
        ]
        .map(str::to_owned)
        .to_vec();
        // The runner becomes this suite, which needs the libraries of this machine if it is not static.
        if self.name == RUNNER.name && !cfg!(target_feature = "crt-static") {
            run.extend(libraries().into_iter().map(|mount| format!("--volume={mount}")));
        }
        run.push(self.tag());
        storage.write_program(self.name, &run).map_err(|error| error.to_string())
    }
}

fn with_storage<T>(ask: impl FnOnce(&Storage) -> T) -> Result<T, String> {
    with_built(|built| ask(&built.storage))
}

fn with_built<T>(ask: impl FnOnce(&Built) -> T) -> Result<T, String> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    match built.get_or_insert_with(build_all) {
        Ok(built) => Ok(ask(built)),
        Err(why) => Err(why.clone()),
    }
}

fn build_all() -> Result<Built, String> {
    let suite = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/debug/deps/suite-0123456789abcdef
    let target = suite.ancestors().nth(3).ok_or("the suite is not in cargo's target directory")?;
    let (images, folder) = (target.join("images"), TempDir::new());
    // It names the folders of the last time. There are no containers in it that anyone misses.
    let _ = std::fs::remove_dir_all(images.join("libpod"));
    let storage = Storage::new(folder.path(), images).map_err(|error| error.to_string())?;
    let arguments = stand_ins::pull_or_make(&storage, &APP.dockerfile())?;
    for image in [RELAY, RUNNER, APP] {
        image.build(&storage, Path::new(ROOT), &image.log(&folder), &arguments)?;
    }
    let of_change = changed::build(&storage, &CHANGED_APP.log(&folder), &arguments)?;
    Ok(Built { storage, folder, of_change })
}

/// Runs a program, and returns what it prints. An error has the last line of its standard error.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name} can't be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let last = error.lines().next_back().unwrap_or_default();
    Err(format!("{name} failed with {}: {last}", output.status))
}
