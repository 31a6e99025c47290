//! One boot: the pool's request, and the resulting instance.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flame_link::Io;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::{FlameParent, ParentError};
use flame_wire::token::Zeroizing;
use futures_util::future::BoxFuture;

/// Opens a connection to the pool's listener within this process.
pub(crate) type InMemoryConnect =
    Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Io>> + Send + Sync>;

/// The data with which an instance is booted.
#[derive(Clone)]
#[non_exhaustive]
pub struct BootSpec {
    /// The runner that this boot is for. No other boot has the same one, so it is a good
    /// idempotency token, and a good tag by which to find the instance.
    pub runner: RunnerRef,
    /// The value of FLAME_PARENT, which goes into the instance's environment. It is a secret until
    /// the runner has connected: never put it into arguments, tags or logs. It is overwritten when
    /// it is dropped.
    pub flame_parent: Zeroizing<String>,
    /// `flame_parent`, decoded, for a runner within this process.
    pub(crate) parent: FlameParent,
    /// For a runner within this process.
    pub(crate) in_memory: InMemoryConnect,
}

impl BootSpec {
    pub(crate) fn new(
        parent: FlameParent,
        in_memory: InMemoryConnect,
    ) -> Result<Self, ParentError> {
        let flame_parent = parent.encode()?;
        Ok(Self { runner: parent.runner, flame_parent, parent, in_memory })
    }
}

impl fmt::Debug for BootSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootSpec").field("runner", &self.runner).finish_non_exhaustive()
    }
}

/// An instance that a backend has booted, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Instance {
    /// The backend's own id of the instance: `pid-1234`, a task ARN, a request id. It must be
    /// unique among the instances of the pool.
    pub id: String,
}

impl Instance {
    /// The instance with this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// An event of an instance that the pool has seen; see
/// [`Instances::notify`](super::Instances::notify).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceEvent {
    /// The runner has connected: the instance is alive.
    Connected,
    /// The runner has said goodbye, and its link is closed: the instance is about to exit.
    Exiting,
}

/// How long a platform took for the parts of a boot; see
/// [`Instances::boot_times`](super::Instances::boot_times). `None` means that it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BootTimes {
    /// From the accepted request until the instance had a place.
    pub provision: Option<Duration>,
    /// From then until its image was there.
    pub pull: Option<Duration>,
    /// From then until its program ran.
    pub start: Option<Duration>,
}

impl BootTimes {
    /// The sum of the parts that are known.
    pub(crate) fn total(&self) -> Duration {
        [self.provision, self.pull, self.start].into_iter().flatten().sum()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use flame_wire::parent::{Fingerprint, HostKind, RunnerLimits};
    use flame_wire::token::Token;
    use futures_util::FutureExt;

    use super::*;

    /// A boot of a runner that could not connect to any pool.
    pub(crate) fn spec(host: HostKind) -> BootSpec {
        let parent = FlameParent {
            addresses: vec!["ws://127.0.0.1:1".to_owned()],
            runner: RunnerRef::from_bytes([7; 16]),
            token: Token::generate().unwrap(),
            expires_unix_ms: None,
            fingerprint: Fingerprint([0; 32]),
            host,
            pool: "test".to_owned(),
            depth: 1,
            limits: RunnerLimits::default(),
        };
        let in_memory = Arc::new(|| async { Err(std::io::Error::other("no listener")) }.boxed());
        BootSpec::new(parent, in_memory).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use flame_wire::parent::HostKind;

    use super::*;

    #[test]
    fn debug_shows_neither_flame_parent_nor_the_token() {
        let mut spec = testing::spec(HostKind::Process);
        spec.parent.token =
            flame_wire::token::Token::from_bytes(*b"SECRETSECRETSECRETSECRETSECRETSE");
        spec.flame_parent = spec.parent.encode().unwrap();
        let shown = format!("{spec:?} {:?}", spec.parent);
        assert!(shown.contains(&spec.runner.to_string()), "{shown}");
        for secret in ["SECRET", "83, 69, 67, 82", "flame1."] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
