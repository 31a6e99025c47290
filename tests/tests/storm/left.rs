//! What is left over in this process, and of others, when a storm is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ground::Ground;
use crate::report::Part;

/// The allocator keeps some of what was freed, and how much differs from run to run.
const MEMORY: u64 = 24 << 10;

#[derive(Debug)]
pub(crate) struct Left {
    /// Of how many descriptors are open, by what they are.
    descriptors: BTreeMap<String, usize>,
    tasks: usize,
    /// KiB.
    memory: u64,
}

impl Left {
    pub(crate) fn now() -> Self {
        let mut descriptors = BTreeMap::new();
        for file in std::fs::read_dir("/proc/self/fd").expect("/proc is there").flatten() {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            // The number of a socket or pipe is of this one alone.
            let kind = target.to_string_lossy();
            let kind = kind.split(":[").next().unwrap_or_default().to_owned();
            *descriptors.entry(kind).or_default() += 1;
        }
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Self { descriptors, tasks, memory: memory.expect("the kernel tells it") }
    }

    fn open(&self) -> usize {
        self.descriptors.values().sum()
    }

    /// Counts what is more than before; says what is wrong about it.
    pub(crate) fn compare(&self, before: &Self, ground: &Ground) {
        let calls = &ground.calls;
        let left = |what: &str, more: usize, words: String| {
            calls.count(Part::Left, what, more as u64);
            if more > 0 {
                calls.wrong(&format!("{what} left over"), &words);
            }
        };
        let processes = ground.processes();
        left("processes", processes.len(), format!("{processes:?}"));
        let open = self.open().saturating_sub(before.open());
        left("descriptors", open, format!("{:?}, not {:?}", self.descriptors, before.descriptors));
        let tasks = self.tasks.saturating_sub(before.tasks);
        left("tasks", tasks, format!("{}, not {}", self.tasks, before.tasks));
        let memory = self.memory.saturating_sub(before.memory);
        calls.count(Part::Left, "memory, KiB", memory);
        if memory > MEMORY {
            let words = format!("{} KiB, not {} KiB", self.memory, before.memory);
            calls.wrong("memory left over", &words);
        }
    }
}

/// Waits until nothing is left that was not there before, but not forever; then what is left.
pub(crate) async fn settle(ground: &Ground, bare: &Left, before: Option<&Left>) -> Left {
    let mut left = Left::now();
    for _ in 0..1000 {
        let descriptors = before.is_none_or(|before| left.open() <= before.open());
        if descriptors && left.tasks <= bare.tasks && ground.processes().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        left = Left::now();
    }
    left
}
