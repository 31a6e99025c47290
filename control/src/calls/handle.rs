//! What a caller keeps of a call that a future or a stream makes.

use std::sync::Arc;

use flame_wire::trace::TraceContext;

use super::call_trace::next_place;
use crate::log::Logs;
use crate::pool::PoolInner;
use crate::pool::call_info::CallInfo;

/// A call of a pool.
#[derive(Clone)]
pub(super) struct CallHandle {
    pub(super) pool: Arc<PoolInner>,
    pub(super) info: Arc<CallInfo>,
}

impl CallHandle {
    /// A call that has not been sent. `trace` is the place in a trace that its work has set.
    pub(super) fn new(
        pool: &Arc<PoolInner>,
        function: &'static str,
        trace: Option<TraceContext>,
    ) -> Self {
        let info = CallInfo::new(function, trace.unwrap_or_else(next_place));
        Self { pool: pool.clone(), info: Arc::new(info) }
    }

    /// The estimated cost of the call in dollars: its slot's share of the runner, for the time that it
    /// was there. `None` if it has not ended, or was not sent.
    pub(super) fn estimated_cost(&self) -> Option<f64> {
        let (lane, ran_for) = self.info.ran()?;
        let lane = self.pool.lane(lane);
        let slots = lane.read(|state| state.limits().slots_per_runner());
        Some(lane.recorder.price().for_time(ran_for) / f64::from(slots))
    }

    /// What the call logs and prints from now on.
    pub(super) fn logs(&self) -> Logs {
        self.pool.shared.log.listen().of_call(self.info.clone())
    }
}
