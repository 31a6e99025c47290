//! The size of a machine: pure.
//!
//! Sources: <https://fly.io/docs/machines/guides-examples/machine-sizing/> for the memory, and the
//! presets on <https://fly.io/docs/about/pricing/> for the numbers of CPUs.

use serde_json::{Value, json};

use super::builder::FlyBuilder;
use crate::backend::options::set_twice;
use crate::size::Size;

/// The kind of a machine's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuKind {
    /// Shares of CPUs that other machines use as well: 1, 2, 4, 6 or 8.
    Shared,
    /// CPUs of its own: 1, or an even number up to 16.
    Performance,
}

impl CpuKind {
    fn name(self) -> &'static str {
        match self {
            CpuKind::Shared => "shared",
            CpuKind::Performance => "performance",
        }
    }

    fn counts(self) -> &'static [u32] {
        match self {
            CpuKind::Shared => &[1, 2, 4, 6, 8],
            CpuKind::Performance => &[1, 2, 4, 6, 8, 10, 12, 14, 16],
        }
    }

    /// The least and the most memory for each CPU, in MiB.
    fn memory_of_each(self) -> (u32, u32) {
        match self {
            CpuKind::Shared => (256, 2048),
            CpuKind::Performance => (2048, 8192),
        }
    }
}

/// Memory is a multiple of this, in MiB.
const MEMORY_STEP: u32 = 256;

/// A machine's `guest`, or `None` if no option says anything of it: then Fly decides.
pub(super) fn guest(options: &FlyBuilder) -> Option<Value> {
    let FlyBuilder { cpu_kind, cpus, memory, gpu_kind, .. } = options;
    if cpu_kind.is_none() && cpus.is_none() && memory.is_none() && gpu_kind.is_none() {
        return None;
    }
    let kind = kind(options);
    let cpus = cpus.unwrap_or(1);
    let memory = memory.unwrap_or_else(|| kind.memory_of_each().0.saturating_mul(cpus));
    let mut guest = json!({ "cpu_kind": kind.name(), "cpus": cpus, "memory_mb": memory });
    if let (Some(gpu_kind), Some(guest)) = (gpu_kind, guest.as_object_mut()) {
        guest.insert("gpu_kind".to_owned(), json!(gpu_kind));
        guest.insert("gpus".to_owned(), json!(options.gpus.unwrap_or(1)));
    }
    Some(guest)
}

/// GPUs come with CPUs of their own.
fn kind(options: &FlyBuilder) -> CpuKind {
    let default = if options.gpu_kind.is_some() { CpuKind::Performance } else { CpuKind::Shared };
    options.cpu_kind.unwrap_or(default)
}

/// What is wrong with the size.
pub(super) fn problems(options: &FlyBuilder) -> Vec<String> {
    let mut problems = Vec::new();
    let (kind, cpus) = (kind(options), options.cpus.unwrap_or(1));
    let is_count = kind.counts().contains(&cpus);
    if !is_count {
        problems.push(format!(
            "`cpus` is {cpus}: Fly has {:?} for CPUs of the kind `{}`",
            kind.counts(),
            kind.name()
        ));
    }
    if let Some(memory) = options.memory {
        let (least, most) = kind.memory_of_each();
        let range = least.saturating_mul(cpus)..=most.saturating_mul(cpus);
        if memory % MEMORY_STEP != 0 {
            problems.push(format!("`memory` is {memory}: give a multiple of {MEMORY_STEP} MiB"));
        } else if is_count && !range.contains(&memory) {
            problems.push(format!(
                "`memory` is {memory}: {cpus} CPUs of the kind `{}` have {} to {} MiB",
                kind.name(),
                range.start(),
                range.end()
            ));
        }
    }
    match (&options.gpu_kind, options.gpus) {
        (None, Some(1..)) => problems.push(
            "`gpus` needs the kind of the GPUs: set `.gpu_kind(..)` of the backend, such as `l40s`"
                .to_owned(),
        ),
        (Some(kind), Some(0)) => problems.push(format!(
            "`gpu_kind` is `{kind}`, and `gpus` is 0: leave out `gpu_kind` for a runner without \
             GPUs"
        )),
        _ => {}
    }
    problems
}

impl FlyBuilder {
    /// These options, with the pool's size. What is set in both places, and what a machine can't
    /// have, is appended to `problems`.
    pub(super) fn sized(&self, size: &Size, problems: &mut Vec<String>) -> Self {
        let (cpus, memory) = (self.cpus.is_some(), self.memory.is_some());
        problems.extend(set_twice(size, cpus, memory, self.gpus.is_some()));
        if size.storage_gib.is_some() {
            problems.push(
                "`size` has storage, and Fly decides how large the disk of a machine is: leave it \
                 out"
                .to_owned(),
            );
        }
        let vcpus = size.vcpus.and_then(|vcpus| {
            let whole = whole(vcpus);
            if whole.is_none() {
                problems.push(format!("`vcpus` is {vcpus}: Fly has whole CPUs only"));
            }
            whole
        });
        Self {
            cpus: vcpus.or(self.cpus),
            memory: size.memory_mib.or(self.memory),
            gpus: size.gpus.or(self.gpus),
            ..self.clone()
        }
    }
}

fn whole(vcpus: f64) -> Option<u32> {
    let is_whole = vcpus.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&vcpus);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    is_whole.then_some(vcpus as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(options: &FlyBuilder, size: Size) -> String {
        let mut found = Vec::new();
        let sized = options.sized(&size, &mut found);
        found.extend(problems(&sized));
        found.join("; ")
    }

    #[test]
    fn a_size_that_fly_offers_becomes_a_guest() {
        let options = FlyBuilder::default();
        assert_eq!(guest(&options), None, "Fly decides");
        let size = Size::new().vcpus(2.0).memory_mib(1024);
        let sized = options.sized(&size, &mut Vec::new());
        let shared = json!({ "cpu_kind": "shared", "cpus": 2, "memory_mb": 1024 });
        assert_eq!(guest(&sized), Some(shared));
        assert_eq!(problems_of(&options, size), "");
        let own = options.clone().cpu_kind(CpuKind::Performance).cpus(16);
        let least = json!({ "cpu_kind": "performance", "cpus": 16, "memory_mb": 32768 });
        assert_eq!(guest(&own), Some(least));
        assert_eq!(problems_of(&own, Size::new().memory_mib(131_072)), "");
    }

    #[test]
    fn gpus_need_their_kind() {
        let options = FlyBuilder::default();
        assert!(problems_of(&options, Size::new().gpus(1)).contains("gpu_kind"));
        assert_eq!(problems_of(&options, Size::new().gpus(0)), "");
        let l40s = options.gpu_kind("l40s").cpus(8);
        assert_eq!(problems_of(&l40s, Size::new().gpus(2)), "");
        let sized = l40s.sized(&Size::new().gpus(2), &mut Vec::new());
        let with_gpus = json!({
            "cpu_kind": "performance", "cpus": 8, "memory_mb": 16384, "gpu_kind": "l40s", "gpus": 2,
        });
        assert_eq!(guest(&sized), Some(with_gpus));
        assert!(problems_of(&l40s, Size::new().gpus(0)).contains("leave out `gpu_kind`"));
    }

    #[test]
    fn a_size_that_fly_does_not_offer_is_a_problem_that_says_what_it_offers() {
        let options = FlyBuilder::default();
        let own = options.clone().cpu_kind(CpuKind::Performance);
        for (options, size, text) in [
            (&options, Size::new().vcpus(0.5), "whole CPUs"),
            (&options, Size::new().vcpus(3.0), "[1, 2, 4, 6, 8]"),
            (&options, Size::new().vcpus(16.0), "[1, 2, 4, 6, 8]"),
            (&own, Size::new().vcpus(18.0), "16]"),
            (&options, Size::new().memory_mib(300), "multiple of 256"),
            (&options, Size::new().memory_mib(4096), "256 to 2048"),
            (&own, Size::new().vcpus(2.0).memory_mib(2048), "4096 to 16384"),
            (&options, Size::new().storage_gib(9), "storage"),
        ] {
            let found = problems_of(options, size);
            assert!(found.contains(text), "{size}: {found}");
        }
        let twice = problems_of(&options.clone().cpus(2), Size::new().vcpus(2.0));
        assert!(twice.contains("both set"), "{twice}");
    }
}
