//! The condition under which a process measures or runs: its core and its threads.
//!
//! The same exchange takes three times as long on an idle machine as on a busy core, since a
//! sleeping core is slow to wake. So a figure is meaningful only with its condition, and beside a
//! baseline that was measured under the same condition.

use tokio::runtime::{Builder, Runtime};

/// The core on which a process runs, and its number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Condition {
    /// The core that the process is pinned to. Without one, the system chooses.
    pub(crate) core: Option<usize>,
    /// The core of the other side, a runner or an echo process. Without one, the same core.
    pub(crate) peer: Option<usize>,
    /// The workers of a multi-thread runtime. Without a number, a current-thread runtime.
    pub(crate) workers: Option<usize>,
}

impl Condition {
    /// The variable with the number of a runner's workers. Without it, runners have a
    /// current-thread runtime, as echo processes have.
    const RUNNER_WORKERS: &str = "FLAME_BENCH_RUNNER_WORKERS";

    /// The variable with the core of the other side.
    pub(crate) const PEER_CORE: &str = "FLAME_BENCH_PEER_CORE";

    /// A current-thread runtime on a core that the system chooses.
    pub(crate) const FREE: Self = Self { core: None, peer: None, workers: None };

    /// Returns two conditions: each side on a core of its own, and both sides on one core. If the
    /// system chose the cores, it would put some exchanges on one core and others on two, and their
    /// times could not be compared. The system does choose if there is only one core, or if
    /// processes can't be pinned.
    pub(crate) fn pinned() -> Vec<Self> {
        let mut cores = cores().into_iter();
        let Some(core) = cores.next() else { return vec![Self::FREE] };
        let alone = Self { core: Some(core), ..Self::FREE };
        let apart = cores.next().map(|peer| Self { peer: Some(peer), ..alone });
        vec![apart.unwrap_or(Self::FREE), alone]
    }

    /// Returns the same conditions, and another one in which the system chooses the cores.
    pub(crate) fn pinned_and_free() -> Vec<Self> {
        let mut conditions = Self::pinned();
        if !conditions.contains(&Self::FREE) {
            conditions.push(Self::FREE);
        }
        conditions
    }

    /// Returns the condition of runners, of echo processes, and of the bare start.
    pub(crate) fn of_runners() -> Self {
        let workers = std::env::var(Self::RUNNER_WORKERS).ok();
        let workers = workers.map(|n| n.parse().expect("the number of a runner's worker threads"));
        let core = std::env::var(Self::PEER_CORE).ok();
        let core = core.map(|n| n.parse().expect("the number of the other side's core"));
        Self { core, peer: None, workers }
    }

    /// Pins this process. Call it before there are threads or children, which inherit the core.
    #[cfg(target_os = "linux")]
    pub(crate) fn pin(self) {
        let Some(core) = self.core else { return };
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores).expect("a core to be pinned to");
    }

    /// Other systems have no such call.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn pin(self) {
        assert!(self.core.is_none(), "processes can be pinned to a core only on Linux");
    }

    pub(crate) fn runtime(self) -> Runtime {
        let builder = match self.workers {
            None => Builder::new_current_thread().enable_all().build(),
            Some(n) => Builder::new_multi_thread().worker_threads(n).enable_all().build(),
        };
        builder.expect("a runtime")
    }

    /// The suffix of the keys of this condition's figures.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self { core: Some(_), peer: None, .. } => "_one_core",
            _ => "",
        }
    }
}

/// Returns the cores that this process may run on.
#[cfg(target_os = "linux")]
fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).expect("this process's cores");
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// Other systems can't be asked.
#[cfg(not(target_os = "linux"))]
fn cores() -> Vec<usize> {
    Vec::new()
}
