//! The size of a runner: its processors, memory, GPUs and storage.

use std::fmt;

/// The size of a runner: its processors, memory, GPUs and storage, in the same units for all
/// backends. A part that is not set is the default of the backend or of its platform.
///
/// Each backend checks the size when its pool starts:
///
/// | backend | the size |
/// |---|---|
/// | [`Local`](crate::backend::Local), [`Process`](crate::backend::Process) | is not reserved, since runners share this machine; the log warns if this machine has less |
/// | `Ecs` on Fargate | must be a size that Fargate offers; overrides that of the task definition |
/// | `Ecs` on instances | overrides that of the task definition; GPUs need instances that have GPUs |
/// | `Docker` | limits the container; must not exceed the engine's machine; can't have storage |
/// | `Fly` | must be a size that Fly offers for the kind of CPU; can't have storage |
/// | `Lambda` | must not exceed the function's configuration |
///
/// ```
/// use flame_aws::{Pool, Size};
///
/// # fn example() {
/// let pool = Pool::builder("train").size(Size::new().vcpus(8.0).memory_mib(32 * 1024).gpus(1));
/// # let _ = pool;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Size {
    /// Virtual processors.
    pub vcpus: Option<f64>,
    /// Memory in MiB.
    pub memory_mib: Option<u32>,
    /// GPUs.
    pub gpus: Option<u32>,
    /// Ephemeral storage in GiB.
    pub storage_gib: Option<u32>,
}

impl Size {
    /// A size in which nothing is set.
    #[must_use]
    pub const fn new() -> Self {
        Self { vcpus: None, memory_mib: None, gpus: None, storage_gib: None }
    }

    /// Virtual processors: above 0, such as 0.25 or 4.
    #[must_use]
    pub const fn vcpus(mut self, vcpus: f64) -> Self {
        self.vcpus = Some(vcpus);
        self
    }

    /// Memory in MiB: at least 1.
    #[must_use]
    pub const fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = Some(mib);
        self
    }

    /// GPUs. 0 means none.
    #[must_use]
    pub const fn gpus(mut self, gpus: u32) -> Self {
        self.gpus = Some(gpus);
        self
    }

    /// Ephemeral storage in GiB: at least 1.
    #[must_use]
    pub const fn storage_gib(mut self, gib: u32) -> Self {
        self.storage_gib = Some(gib);
        self
    }

    /// Why no backend can accept this size; `None` if some backend may.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.vcpus.is_some_and(|vcpus| !(vcpus > 0.0 && vcpus <= 100_000.0)) {
            return Some("has `vcpus` that are not a number above 0");
        }
        if self.memory_mib == Some(0) || self.storage_gib == Some(0) {
            return Some("has 0 MiB of memory or 0 GiB of storage: leave out what you don't need");
        }
        None
    }

    /// CPU units of ECS, rounded: 1,024 are one virtual processor.
    #[cfg(feature = "ecs")]
    pub(crate) fn cpu_units(&self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`problem`")]
        self.vcpus.map(|vcpus| (vcpus * 1024.0).round() as u32)
    }

    /// The parts of this size that are larger than in `available`, in words; `None` if no part is.
    pub(crate) fn excess(&self, available: &Size) -> Option<String> {
        let mut parts = Vec::new();
        let mut compare = |name: &str, wanted: Option<f64>, available: Option<f64>| {
            if let (Some(wanted), Some(available)) = (wanted, available)
                && wanted > available
            {
                parts.push(format!("{name} {wanted} of {available}"));
            }
        };
        compare("`vcpus`", self.vcpus, available.vcpus);
        let number = |value: Option<u32>| value.map(f64::from);
        compare("`memory_mib`", number(self.memory_mib), number(available.memory_mib));
        compare("`gpus`", number(self.gpus), number(available.gpus));
        compare("`storage_gib`", number(self.storage_gib), number(available.storage_gib));
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The size of this machine, as far as it is known.
    pub(crate) fn of_this_machine() -> Self {
        let vcpus = std::thread::available_parallelism().ok();
        let vcpus = vcpus.and_then(|count| u32::try_from(count.get()).ok()).map(f64::from);
        let memory = std::fs::read_to_string("/proc/meminfo").ok();
        Self { vcpus, memory_mib: memory.as_deref().and_then(total_mib), ..Self::new() }
    }
}

/// The total memory in the text of Linux's `/proc/meminfo`.
fn total_mib(meminfo: &str) -> Option<u32> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.vcpus.map(|vcpus| format!("{vcpus} vCPU")),
            self.memory_mib.map(|mib| format!("{mib} MiB of memory")),
            self.gpus.map(|gpus| format!("{gpus} GPU")),
            self.storage_gib.map(|gib| format!("{gib} GiB of storage")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { f.write_str("no size") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_no_platform_has_is_a_problem() {
        for size in [
            Size::new().vcpus(0.0),
            Size::new().vcpus(-1.0),
            Size::new().vcpus(f64::NAN),
            Size::new().vcpus(f64::INFINITY),
            Size::new().memory_mib(0),
            Size::new().storage_gib(0),
        ] {
            assert!(size.problem().is_some(), "{size}");
        }
        for size in [Size::new(), Size::new().vcpus(0.25).memory_mib(1).gpus(0).storage_gib(1)] {
            assert_eq!(size.problem(), None, "{size}");
        }
    }

    #[test]
    fn what_exceeds_the_available_size_is_named() {
        let available = Size::new().vcpus(2.0).memory_mib(4096);
        let wanted = Size::new().vcpus(4.0).memory_mib(8192).gpus(1);
        let excess = wanted.excess(&available).unwrap();
        assert_eq!(excess, "`vcpus` 4 of 2, `memory_mib` 8192 of 4096");
        assert_eq!(Size::new().vcpus(2.0).excess(&available), None);
    }

    #[test]
    fn the_memory_of_a_machine_is_read() {
        assert_eq!(total_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_000));
        assert_eq!(total_mib("something else"), None);
        assert!(Size::of_this_machine().vcpus.unwrap() >= 1.0);
    }

    #[test]
    fn a_size_is_shown_by_what_it_names() {
        let size = Size::new().vcpus(0.5).memory_mib(1024).gpus(2).storage_gib(30);
        assert_eq!(size.to_string(), "0.5 vCPU, 1024 MiB of memory, 2 GPU, 30 GiB of storage");
        assert_eq!(Size::new().to_string(), "no size");
    }
}
