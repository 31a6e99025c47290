//! The groups of figures, and the conditions under which each is measured.

use crate::condition::Condition;

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Latency,
    Local,
    Cpu,
    Throughput,
    Transfer,
    Boot,
    Burst,
    Failure,
    Memory,
    Relay,
    RelayPairs,
    Resume,
    CodeSync,
    Observability,
}

impl Group {
    pub(crate) const ALL: [Self; 14] = [
        Self::Latency,
        Self::Local,
        Self::Cpu,
        Self::Throughput,
        Self::Transfer,
        Self::Boot,
        Self::Burst,
        Self::Failure,
        Self::Memory,
        Self::Relay,
        Self::RelayPairs,
        Self::Resume,
        Self::CodeSync,
        Self::Observability,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Local => "local",
            Self::Cpu => "cpu",
            Self::Throughput => "throughput",
            Self::Transfer => "transfer",
            Self::Boot => "boot",
            Self::Burst => "burst",
            Self::Failure => "failure",
            Self::Memory => "memory",
            Self::Relay => "relay",
            Self::RelayPairs => "relay_pairs",
            Self::Resume => "resume",
            Self::CodeSync => "code_sync",
            Self::Observability => "observability_overhead",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }

    /// The conditions under which the group is measured, each in a process of its own.
    pub(crate) fn conditions(self) -> Vec<Condition> {
        let free = Condition::FREE;
        match self {
            Self::Latency | Self::Cpu | Self::Observability => Condition::pinned(),
            Self::Relay => Condition::pinned_and_free(),
            Self::Throughput => vec![free, Condition { workers: Some(2), ..free }],
            _ => vec![free],
        }
    }
}
