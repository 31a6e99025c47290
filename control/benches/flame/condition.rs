//! Under which condition a process measures, or runs.
//!
//! The same exchange takes three times as long on an idle machine as on a busy core, for a sleeping
//! core is slow to wake; so a figure means something only with its condition, and beside a floor
//! under the same one.

use tokio::runtime::{Builder, Runtime};

/// Where a process runs, and on how many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Condition {
    /// The core that it is pinned to. Default: wherever the system likes.
    pub(crate) core: Option<usize>,
    /// The core that the other side, a runner or the floor's echo, is pinned to. Default: the same.
    pub(crate) peer: Option<usize>,
    /// Threads of a multi-thread runtime; none: the current-thread runtime.
    pub(crate) workers: Option<usize>,
}

impl Condition {
    /// The variable with the number of worker threads in a runner. Absent: a current-thread
    /// runtime, as the floor's echo processes have.
    const RUNNER_WORKERS: &str = "FLAME_BENCH_RUNNER_WORKERS";

    /// The variable with the core of the other side.
    pub(crate) const PEER_CORE: &str = "FLAME_BENCH_PEER_CORE";

    /// Wherever the system likes, on a current-thread runtime.
    pub(crate) const FREE: Self = Self { core: None, peer: None, workers: None };

    /// Each side on a core of its own, and both on one. Where the system chooses, it puts the one
    /// exchange on one core and the other on two, by chance, and they can't be compared. It does
    /// choose where there is but one core, or no way to ask for one.
    pub(crate) fn pinned() -> Vec<Self> {
        let mut cores = cores().into_iter();
        let Some(core) = cores.next() else { return vec![Self::FREE] };
        let alone = Self { core: Some(core), ..Self::FREE };
        let apart = cores.next().map(|peer| Self { peer: Some(peer), ..alone });
        vec![apart.unwrap_or(Self::FREE), alone]
    }

    /// The condition of runners, of the floor's echo, and of the bare start.
    pub(crate) fn of_runners() -> Self {
        let workers = std::env::var(Self::RUNNER_WORKERS).ok();
        let workers = workers.map(|n| n.parse().expect("the number of a runner's worker threads"));
        let core = std::env::var(Self::PEER_CORE).ok();
        let core = core.map(|n| n.parse().expect("the number of the other side's core"));
        Self { core, peer: None, workers }
    }

    /// Pins this process. To be called before it has threads or children: both inherit the core.
    #[cfg(target_os = "linux")]
    pub(crate) fn pin(self) {
        let Some(core) = self.core else { return };
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores).expect("a core to be pinned to");
    }

    /// Elsewhere there is no such call; `taskset`'s like must do.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn pin(self) {
        assert!(self.core.is_none(), "processes can be pinned to a core on Linux alone");
    }

    pub(crate) fn runtime(self) -> Runtime {
        let builder = match self.workers {
            None => Builder::new_current_thread().enable_all().build(),
            Some(n) => Builder::new_multi_thread().worker_threads(n).enable_all().build(),
        };
        builder.expect("a runtime")
    }

    /// What the keys of this condition's figures end in.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self { core: Some(_), peer: None, .. } => "_one_core",
            _ => "",
        }
    }
}

/// The cores that this process may run on.
#[cfg(target_os = "linux")]
fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).expect("this process's cores");
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// Elsewhere none can be asked for.
#[cfg(not(target_os = "linux"))]
fn cores() -> Vec<usize> {
    Vec::new()
}
