//! The options that a lane was started with, checked.

use std::time::Duration;

use flame_wire::parent::RunnerLimits;

use crate::pool::state::PoolLimits;

/// The options of one lane.
pub(crate) struct LaneConfig {
    pub(crate) limits: PoolLimits,
    pub(crate) boot_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    /// The limits that runners are given in FLAME_PARENT.
    pub(crate) runner_limits: RunnerLimits,
    /// How many parents are above the runners.
    pub(crate) depth: u8,
}
