//! What a pool was started with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flame_wire::ids::RunnerRef;
use flame_wire::parent::{Fingerprint, FlameParent, HostKind, RunnerLimits};
use flame_wire::token::Token;

use super::state::Limits;

/// All of it, checked.
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) timeout: Option<Duration>,
    pub(crate) boot_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) runner: RunnerLimits,
    pub(crate) depth: u8,
    pub(crate) event_buffer: usize,
}

impl Config {
    /// When a boot that begins now has failed, in milliseconds of Unix time.
    #[expect(clippy::disallowed_methods, reason = "it is told to other machines")]
    fn boot_ends(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from((since + self.boot_timeout).as_millis()).unwrap_or(u64::MAX)
    }

    /// The document that a runner boots with.
    pub(crate) fn flame_parent(
        &self,
        runner: RunnerRef,
        token: Token,
        address: String,
        fingerprint: Fingerprint,
        host: HostKind,
    ) -> FlameParent {
        FlameParent {
            address,
            runner,
            token,
            expires_unix_ms: Some(self.boot_ends()),
            fingerprint,
            host,
            pool: self.name.clone(),
            depth: self.depth,
            limits: self.runner.clone(),
        }
    }
}
