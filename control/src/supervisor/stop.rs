//! Stops an instance, with retries.

use std::time::Duration;

use flame_wire::backoff::Backoff;
use futures_util::FutureExt;
use tokio::time::{sleep, timeout};

use super::InstanceDeath;
use super::report::RunnerReport;
use crate::backend::Instance;

/// How often the pool tries to stop an instance.
const ATTEMPTS: u32 = 5;
/// How long each attempt may take, and how long the instance may take to die after it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses between attempts.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(1_600));

/// Stops an instance, and waits until it is dead. If it can't be stopped, reports that.
pub(super) async fn stop(report: &RunnerReport, instance: &Instance, death: InstanceDeath) {
    let mut why = "the instance is not known to be dead".to_owned();
    for attempt in 1..=ATTEMPTS {
        if death.clone().now_or_never().is_some() {
            return;
        }
        match timeout(ATTEMPT_TIMEOUT, report.lane.instances.stop(instance)).await {
            Ok(Ok(())) => {
                if timeout(ATTEMPT_TIMEOUT, death.clone()).await.is_ok() {
                    return;
                }
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = format!("stopping took longer than {ATTEMPT_TIMEOUT:?}"),
        }
        sleep(PAUSES.pause(attempt, 0.0)).await;
    }
    report.stop_failed(Some(instance), why);
}
