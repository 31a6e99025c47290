//! How long a runner may live, and how much it may send.

use serde::{Deserialize, Serialize};

use crate::pack;
use crate::time::MAX_MS;

/// The limits that a runner keeps by itself, whatever becomes of its parent. Times are in
/// milliseconds, and more than ten years is sent as ten years; a field that is missing from a
/// document has its default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerLimits {
    /// It ends when it has not reached its parent for so long after its start. Default 20 s.
    #[serde(with = "pack::millis")]
    pub failsafe_ms: u64,
    /// It ends when the link has been down for so long; at least
    /// [`least_reconnect_timeout_ms`](Self::least_reconnect_timeout_ms). Default 60 s.
    #[serde(with = "pack::millis")]
    pub reconnect_timeout_ms: u64,
    /// It proposes to end when nothing has run for so long; none: never. Default 30 s.
    #[serde(with = "pack::maybe_millis")]
    pub idle_ms: Option<u64>,
    /// It drains when it has lived for so long; none: no limit. Default none.
    #[serde(with = "pack::maybe_millis")]
    pub max_lifetime_ms: Option<u64>,
    /// While draining, calls have so long to finish. Default 30 s.
    #[serde(with = "pack::millis")]
    pub shutdown_ms: u64,
    /// It drains so long before its host ends it, where the host has a deadline. Default 10 s.
    #[serde(with = "pack::millis")]
    pub host_margin_ms: u64,
    /// It asks for a sign of life when nothing has come for so long. Default 10 s.
    #[serde(with = "pack::millis")]
    pub ping_ms: u64,
    /// The socket is lost when nothing has come for so long; more than `ping_ms`. Default 30 s.
    #[serde(with = "pack::millis")]
    pub keepalive_timeout_ms: u64,
    /// The longest message it sends or takes, in bytes. Default 1 GiB.
    pub max_message: u64,
    /// How deep calls may nest. Default 8.
    pub max_depth: u8,
    /// It serves one call and ends. Default false.
    pub single_use: bool,
    /// It sends its log to the parent. Default true.
    pub log: bool,
}

/// How long it may take at the most to come back, once both sides know that the socket is lost.
const COME_BACK_MS: u64 = 10_000;

impl RunnerLimits {
    /// The shortest `reconnect_timeout_ms` beside this `keepalive_timeout_ms`.
    ///
    /// Where only one side sees a socket break, the other one notices it when nothing has come for
    /// `keepalive_timeout_ms`, and only then a new socket can be made. The first side waits for it all the
    /// while. So its grace is the silence, and the time to come back: half of the silence again, or
    /// 10 s where that is less. At most ten years, the longest time there is.
    #[must_use]
    pub fn least_reconnect_timeout_ms(keepalive_timeout_ms: u64) -> u64 {
        keepalive_timeout_ms.saturating_add(COME_BACK_MS.min(keepalive_timeout_ms / 2)).min(MAX_MS)
    }
}

impl Default for RunnerLimits {
    fn default() -> Self {
        RunnerLimits {
            failsafe_ms: 20_000,
            reconnect_timeout_ms: 60_000,
            idle_ms: Some(30_000),
            max_lifetime_ms: None,
            shutdown_ms: 30_000,
            host_margin_ms: 10_000,
            ping_ms: 10_000,
            keepalive_timeout_ms: 30_000,
            max_message: 1 << 30,
            max_depth: 8,
            single_use: false,
            log: true,
        }
    }
}
