//! Who this process is: the container that it runs in, and the text by which other processes find
//! out whether it still runs.
//!
//! ```text
//! place := container "/" process          each may be empty
//!
//! container   the id of the container that the process runs in
//! process     boot id of the kernel "," PID namespace "," process id "," start time in ticks
//! ```
//!
//! A container that is restarted keeps its id, so the id alone does not tell whether the parent in
//! it lives. A process of the same PID namespace can tell by the process.

use std::path::Path;

use crate::backend::sweep::ParentStatus;

/// The length of a container's id, in hexadecimal digits.
const ID: usize = 64;

/// The id of the container that this process runs in, found in `/proc`; `None` outside of a
/// container, and on systems other than Linux.
pub(super) fn container_id() -> Option<String> {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    container_id_in(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup").unwrap_or_default())
}

/// The engine mounts files from the container's own folder on `/etc/hostname` and other files, and
/// that folder is named by the id. On cgroups v1 the path of the control group has the id as well.
fn container_id_in(mountinfo: &str, cgroup: &str) -> Option<String> {
    let mounted = mountinfo.lines().filter_map(|line| {
        // Fields of proc(5): id, parent, device, root, mount point.
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        matches!(point, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf").then_some(root)
    });
    let groups = cgroup.lines().filter_map(|line| line.rsplit(':').next());
    mounted.chain(groups).find_map(id_in)
}

/// The part of a path that is an id, with or without a prefix such as `libpod-` or a suffix such as
/// `.scope`.
fn id_in(path: &str) -> Option<String> {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_id = |word: &&str| word.len() == ID && word.bytes().all(is_digit);
    words.rev().find(is_id).map(str::to_owned)
}

/// Where a process runs; see the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) container: Option<String>,
    process: Option<ProcessPlace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ProcessPlace {
    boot: String,
    namespace: String,
    pid: u32,
    started: u64,
}

impl Place {
    /// That of this process, which runs in this container.
    pub(super) fn of_this_process(container: Option<String>) -> Self {
        Self { container, process: ProcessPlace::of_this_process() }
    }

    /// As the value of a label; `None` if nobody could look this process up.
    pub(super) fn encode(&self) -> Option<String> {
        if self.container.is_none() && self.process.is_none() {
            return None;
        }
        let process =
            self.process.as_ref().map(|ProcessPlace { boot, namespace, pid, started }| {
                format!("{boot},{namespace},{pid},{started}")
            });
        let container = self.container.as_deref().unwrap_or_default();
        Some(format!("{container}/{}", process.unwrap_or_default()))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (container, process) = text.split_once('/')?;
        let container = (!container.is_empty()).then(|| container.to_owned());
        let process = match process.split(',').collect::<Vec<_>>().as_slice() {
            [boot, namespace, pid, started] => Some(ProcessPlace {
                boot: (*boot).to_owned(),
                namespace: (*namespace).to_owned(),
                pid: pid.parse().ok()?,
                started: started.parse().ok()?,
            }),
            _ => None,
        };
        Some(Self { container, process })
    }

    /// Whether the process there lives, as `me` sees it. `None` if it can't be known.
    ///
    /// `container_runs` says whether the engine runs that container. `started` is the start time of
    /// the process with that id in the PID namespace of `me`, if there is one.
    pub(super) fn status(
        &self,
        me: &Self,
        container_runs: impl FnOnce(&str) -> Option<bool>,
        started: impl FnOnce(u32) -> Option<u64>,
    ) -> Option<ParentStatus> {
        if let Some(container) = &self.container
            && me.container.as_ref() != Some(container)
        {
            let runs = container_runs(container)?;
            return Some(if runs { ParentStatus::Alive } else { ParentStatus::Dead });
        }
        let (theirs, mine) = (self.process.as_ref()?, me.process.as_ref()?);
        let same_kernel = theirs.boot == mine.boot;
        let same_namespace = same_kernel && theirs.namespace == mine.namespace;
        if same_namespace {
            let lives = started(theirs.pid) == Some(theirs.started);
            return Some(if lives { ParentStatus::Alive } else { ParentStatus::Dead });
        }
        // The same container has been started again since. Its earlier processes are gone.
        (self.container.is_some() && self.container == me.container).then_some(ParentStatus::Dead)
    }
}

impl ProcessPlace {
    fn of_this_process() -> Option<Self> {
        let pid = std::process::id();
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(Self {
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), ""),
            pid,
            started: started(pid)?,
        })
    }
}

/// When the process with this id started, in ticks since the machine booted.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    started_in(&stat.ok()?)
}

/// Field 22 of proc(5)'s `stat`. The process's name comes second, in parentheses, and may contain
/// any character. A zombie counts as gone.
fn started_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    let state = fields.first()?;
    if matches!(*state, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests;
