//! The resources of this process, and those that are left over after a storm.

use std::collections::BTreeMap;
use std::time::Duration;

use flame_tests::process;

use crate::context::StormContext;
use crate::report::Section;

/// How many KiB may be left over. The allocator keeps some freed memory, more in some runs than in
/// others.
pub(crate) const TOLERATED_KIB: u64 = 24 << 10;

/// The resources in use at one moment.
#[derive(Debug)]
pub(crate) struct Resources {
    /// How many descriptors of each kind are open.
    descriptors: BTreeMap<String, usize>,
    tasks: usize,
    memory_kib: u64,
}

impl Resources {
    pub(crate) fn now() -> Self {
        let mut descriptors = BTreeMap::new();
        for file in std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").flatten() {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            // Drops the number of a socket or a pipe: `socket:[123]` is of the kind `socket`.
            let kind = target.to_string_lossy();
            let kind = kind.split(":[").next().unwrap_or_default().to_owned();
            *descriptors.entry(kind).or_default() += 1;
        }
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Self { descriptors, tasks, memory_kib: process::resident_kib(std::process::id()) }
    }

    fn open_descriptors(&self) -> usize {
        self.descriptors.values().sum()
    }

    /// Counts what is left over compared with `before`, and reports it as violations.
    pub(crate) fn compare(&self, before: &Self, context: &StormContext) {
        let ledger = &context.ledger;
        let leftover = |name: &str, more: usize, details: String| {
            ledger.count(Section::Leftovers, name, more as u64);
            if more > 0 {
                ledger.violation(&format!("{name} left over"), &details);
            }
        };
        let processes = context.processes();
        leftover("processes", processes.len(), format!("{processes:?}"));
        let open = self.open_descriptors().saturating_sub(before.open_descriptors());
        let details = format!("{:?}, not {:?}", self.descriptors, before.descriptors);
        leftover("descriptors", open, details);
        let tasks = self.tasks.saturating_sub(before.tasks);
        leftover("tasks", tasks, format!("{}, not {}", self.tasks, before.tasks));
        let memory = self.memory_kib.saturating_sub(before.memory_kib);
        ledger.count(Section::Leftovers, "memory, KiB", memory);
        if memory > TOLERATED_KIB {
            let details = format!("{} KiB, not {} KiB", self.memory_kib, before.memory_kib);
            ledger.violation("memory left over", &details);
        }
    }
}

/// Waits until no resource is left over, or until 20 s have passed. Returns the resources in use at
/// that moment.
pub(crate) async fn settle(
    context: &StormContext,
    initial: &Resources,
    before: Option<&Resources>,
) -> Resources {
    let mut now = Resources::now();
    for _ in 0..1000 {
        let closed =
            before.is_none_or(|before| now.open_descriptors() <= before.open_descriptors());
        if closed && now.tasks <= initial.tasks && context.processes().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        now = Resources::now();
    }
    now
}
