//! Folders with everything of a podman: its settings, images and containers. It neither uses nor changes
//! the machine's settings and storage.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// These limits are below podman's defaults, because raising a limit needs a privilege that a
/// sandbox may lack.
const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"#;
/// The variable that names the file with podman's settings.
const SETTINGS_ENV: &str = "CONTAINERS_CONF";
/// The variable that names the file with the registries that podman has settings for.
const REGISTRIES_ENV: &str = "CONTAINERS_REGISTRIES_CONF";

/// The folders of a podman, with the command lines that keep podman in them.
#[derive(Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
    images: PathBuf,
}

impl Storage {
    /// Storage in a new folder, whose path must be short, and in a folder for images, which may have some
    /// already.
    pub(crate) fn new(folder: &Path, images: PathBuf) -> std::io::Result<Self> {
        let storage = Self { folder: folder.to_owned(), images };
        std::fs::write(storage.settings(), SETTINGS)?;
        storage.set_registries("")?;
        Ok(storage)
    }

    /// Gives podman these settings of registries.
    pub(crate) fn set_registries(&self, settings: &str) -> std::io::Result<()> {
        std::fs::write(self.registries(), settings)
    }

    /// Lets a second pass between the death of a container and what podman does then, as on a busy machine.
    pub(crate) fn finish_slowly(&self) -> std::io::Result<()> {
        let (monitor, later) = (self.folder.join("conmon"), self.folder.join("later"));
        // conmon watches a container, and starts its `--exit-command` when the container is dead.
        let monitoring = format!(
            "#!/bin/bash\nargs=()\nfor arg in \"$@\"; do\n\
             [ \"$last\" = --exit-command ] && args+=('{}') || args+=(\"$arg\")\nlast=$arg\ndone\n\
             exec conmon \"${{args[@]}}\"\n",
            later.display(),
        );
        write_script(&monitor, &monitoring)?;
        write_script(&later, "#!/bin/sh\nsleep 1\nexec podman \"$@\"\n")?;
        let more = format!("conmon_path = [\"{}\"]\n", monitor.display());
        std::fs::write(self.settings(), format!("{SETTINGS}{more}"))
    }

    fn registries(&self) -> PathBuf {
        self.folder.join("registries.conf")
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("containers.conf")
    }

    fn options(&self) -> [String; 5] {
        let at = |option, folder| format!("--{option}={}", self.folder.join(folder).display());
        [
            format!("--root={}", self.images.display()),
            at("runroot", "run"),
            at("tmpdir", "tmp"),
            at("volumepath", "volumes"),
            at("network-config-dir", "networks"),
        ]
    }

    /// A podman command.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command
            .args(self.options())
            .env(SETTINGS_ENV, self.settings())
            .env(REGISTRIES_ENV, self.registries())
            .stdin(Stdio::null());
        command
    }

    /// Where [`write_program`](Self::write_program) writes a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(format!("run-{name}"))
    }

    /// Writes a program that passes its arguments on to podman, after these.
    pub(crate) fn write_program(&self, name: &str, arguments: &[String]) -> std::io::Result<()> {
        let path = self.program(name);
        let options = self.options().join("' '");
        let arguments = arguments.join("' '");
        // Without TMPDIR, podman sets one that not every container has.
        let script = format!(
            "#!/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
             TMPDIR=/tmp\n{SETTINGS_ENV}='{}'\nexport PATH TMPDIR {SETTINGS_ENV}\n\
             exec podman '{options}' '{arguments}' \"$@\"\n",
            self.settings().display(),
        );
        write_script(&path, &script)
    }

    /// Removes all containers, and unmounts what is mounted.
    pub(crate) fn remove_containers(&self) {
        let _ = self
            .command()
            .args(["rm", "--all", "--force", "--time=0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let is_ours = |point: &&str| {
            [&self.folder, &self.images].into_iter().any(|of| Path::new(point).starts_with(of))
        };
        let ours: Vec<_> = points.filter(is_ours).collect();
        for point in ours.into_iter().rev() {
            let _ = Command::new("umount").arg(point).status();
        }
    }
}

fn write_script(path: &Path, script: &str) -> std::io::Result<()> {
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}
