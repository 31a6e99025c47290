//! How long a runner may live, and how much it may send.

use serde::{Deserialize, Serialize};

use crate::pack;
use crate::time::MAX_MS;

/// The limits that a runner enforces itself, whatever happens to its parent. Times are in
/// milliseconds; a time longer than ten years is sent as ten years. A field that is missing in a
/// document has its default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerLimits {
    /// The runner exits if it has not connected to its parent this long after its start. Default 20
    /// s.
    #[serde(with = "pack::millis")]
    pub failsafe_ms: u64,
    /// The runner exits when the link has been down for this long. At least
    /// [`min_reconnect_timeout_ms`](Self::min_reconnect_timeout_ms). Default 60 s.
    #[serde(with = "pack::millis")]
    pub reconnect_timeout_ms: u64,
    /// The runner proposes to exit when nothing has run for this long. `None`: never. Default 30 s.
    #[serde(with = "pack::maybe_millis")]
    pub idle_ms: Option<u64>,
    /// The runner drains when it has lived for this long. `None`: no limit. Default `None`.
    #[serde(with = "pack::maybe_millis")]
    pub max_lifetime_ms: Option<u64>,
    /// How long running calls have to finish while the runner drains. Default 30 s.
    #[serde(with = "pack::millis")]
    pub shutdown_ms: u64,
    /// The runner drains this long before its host kills it, if the host has a deadline. Default 10
    /// s.
    #[serde(with = "pack::millis")]
    pub host_margin_ms: u64,
    /// The runner sends a ping when nothing has arrived for this long. Default 10 s.
    #[serde(with = "pack::millis")]
    pub ping_ms: u64,
    /// The socket counts as lost when nothing has arrived for this long. More than `ping_ms`.
    /// Default 30 s.
    #[serde(with = "pack::millis")]
    pub keepalive_timeout_ms: u64,
    /// The longest message that the runner sends or accepts, in bytes. Default 1 GiB.
    pub max_message: u64,
    /// How deep calls may nest. Default 8.
    pub max_depth: u8,
    /// The runner serves one call and exits. Default false.
    pub single_use: bool,
    /// The runner sends its log to the parent. Default true.
    pub log: bool,
}

/// The longest time to reconnect, once both sides know that the socket is lost.
const RECONNECT_MS: u64 = 10_000;

impl RunnerLimits {
    /// The shortest `reconnect_timeout_ms` that is valid with this `keepalive_timeout_ms`.
    ///
    /// If only one side sees a socket break, the other side notices it when nothing has arrived for
    /// `keepalive_timeout_ms`, and only then can they reconnect. The first side waits during all of
    /// that time. So its timeout has to cover `keepalive_timeout_ms` and the time to reconnect, for
    /// which half of `keepalive_timeout_ms`, but at most 10 s, is added. The result is at most ten
    /// years, the longest duration that a document can carry.
    #[must_use]
    pub fn min_reconnect_timeout_ms(keepalive_timeout_ms: u64) -> u64 {
        keepalive_timeout_ms.saturating_add(RECONNECT_MS.min(keepalive_timeout_ms / 2)).min(MAX_MS)
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
