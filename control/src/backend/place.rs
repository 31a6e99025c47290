//! The text by which other processes find out whether a parent still runs.
//!
//! ```text
//! place := instance "/" process          each may be empty
//!
//! instance    the id of the container or the machine that the process runs in
//! process     boot id of the kernel "," PID namespace "," process id "," start time in ticks
//! ```
//!
//! A container or a machine that is restarted keeps its id, so the id alone does not tell whether
//! the parent in it lives. A process of the same PID namespace can tell by the process.

use std::path::Path;

use super::sweep::ParentStatus;

/// The instance and the process in which a parent runs, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) instance: Option<String>,
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
    /// The place of this process, which runs in this instance. An instance's id contains no `/`.
    pub(super) fn of_this_process(instance: Option<String>) -> Self {
        Self { instance, process: ProcessPlace::of_this_process() }
    }

    /// The place as the value of a label; `None` if nobody could look this process up.
    pub(super) fn encode(&self) -> Option<String> {
        if self.instance.is_none() && self.process.is_none() {
            return None;
        }
        let process =
            self.process.as_ref().map(|ProcessPlace { boot, namespace, pid, started }| {
                format!("{boot},{namespace},{pid},{started}")
            });
        let instance = self.instance.as_deref().unwrap_or_default();
        Some(format!("{instance}/{}", process.unwrap_or_default()))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (instance, process) = text.split_once('/')?;
        let instance = (!instance.is_empty()).then(|| instance.to_owned());
        let process = match process.split(',').collect::<Vec<_>>().as_slice() {
            [boot, namespace, pid, started] => Some(ProcessPlace {
                boot: (*boot).to_owned(),
                namespace: (*namespace).to_owned(),
                pid: pid.parse().ok()?,
                started: started.parse().ok()?,
            }),
            _ => None,
        };
        Some(Self { instance, process })
    }

    /// Whether the process at this place lives. `None` if the process at the place `me` can't know
    /// it.
    ///
    /// `instance_runs` says whether the platform runs an instance. `started` returns the start time
    /// of the process with this id in the PID namespace of `me`, if there is such a process.
    pub(super) fn status(
        &self,
        me: &Self,
        instance_runs: impl FnOnce(&str) -> Option<bool>,
        started: impl FnOnce(u32) -> Option<u64>,
    ) -> Option<ParentStatus> {
        if let Some(instance) = &self.instance
            && me.instance.as_ref() != Some(instance)
        {
            let runs = instance_runs(instance)?;
            return Some(if runs { ParentStatus::Alive } else { ParentStatus::Dead });
        }
        let (theirs, mine) = (self.process.as_ref()?, me.process.as_ref()?);
        let same_kernel = theirs.boot == mine.boot;
        let same_namespace = same_kernel && theirs.namespace == mine.namespace;
        if same_namespace {
            let lives = started(theirs.pid) == Some(theirs.started);
            return Some(if lives { ParentStatus::Alive } else { ParentStatus::Dead });
        }
        // This instance has been started again since, so its earlier processes are gone.
        (self.instance.is_some() && self.instance == me.instance).then_some(ParentStatus::Dead)
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
