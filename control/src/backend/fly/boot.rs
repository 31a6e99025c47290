//! The boot of one machine: drives the [`Attempts`].

use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::backoff::Backoff;
use flame_wire::token::Zeroizing;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;

use super::attempt::{Attempts, Next};
use super::failure::ApiError;
use super::machine::Machine;
use super::monitor::Monitor;
use super::template::key;
use crate::backend::BootFailure;
use crate::backend::sweep::RUNNER_TAG;

/// How often a machine that may exist is looked for after its boot has failed, and the delays in
/// between: for about 2 min, since lists lag behind. After that the sweep finds the machine.
const SEARCHES: u32 = 20;
const SEARCH_PAUSE: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(8));

/// A machine to be created.
pub(super) struct Boot {
    pub(super) name: String,
    pub(super) runner: String,
    pub(super) request: Value,
    /// It is in the request, and must not appear in errors.
    pub(super) secret: Zeroizing<String>,
    pub(super) deadline: Instant,
}

impl Boot {
    /// Creates the machine. Returns its id and its instance id, if that is known.
    pub(super) async fn run(
        self,
        monitor: &Arc<Monitor>,
    ) -> Result<(String, Option<String>), BootFailure> {
        let mut attempts = Attempts::new(self.deadline.into_std());
        let error = loop {
            monitor.creates.acquire().await;
            let limit = self.deadline.saturating_duration_since(Instant::now());
            let creating = monitor.api.create(&self.request, &self.secret, limit);
            let created = creating.instrument(tracing::debug_span!("flame.boot.create")).await;
            let error = match created {
                Ok(Machine { id, instance_id, .. }) => return Ok((id, instance_id)),
                Err(error) => error,
            };
            match attempts.failed(&error, Instant::now().into_std(), rand::random()) {
                Next::Created(id) => return Ok((id, None)),
                Next::Find => match find(monitor, &self.runner).await {
                    Ok(Some(id)) => return Ok((id, None)),
                    Ok(None) => break error,
                    Err(error) => break error,
                },
                Next::RetryAt(at) => sleep_until(at.into()).await,
                Next::GiveUp => break error,
            }
        };
        if attempts.may_exist() {
            monitor.runtime.spawn(destroy_if_found(monitor.clone(), self.name, self.runner));
        }
        Err(error.into_boot_failure("creating the machine"))
    }
}

/// The id of the runner's machine.
async fn find(monitor: &Monitor, runner: &str) -> Result<Option<String>, ApiError> {
    let listed = monitor.api.list(&key(RUNNER_TAG), runner).await?;
    Ok(listed.into_iter().next().map(|machine| machine.id))
}

/// Destroys the machine of a boot that has failed, as soon as it is found.
async fn destroy_if_found(monitor: Arc<Monitor>, name: String, runner: String) {
    for searches in 1..=SEARCHES {
        if let Ok(Some(id)) = find(&monitor, &runner).await {
            monitor.keep_destroying(&id).await;
            return;
        }
        sleep(SEARCH_PAUSE.pause(searches, rand::random())).await;
    }
    log_writer::event(move || {
        tracing::debug!(name, "a machine whose boot was given up was not found");
    });
}
