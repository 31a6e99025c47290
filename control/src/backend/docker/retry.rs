//! Repeats a request to the engine that has failed.

use std::time::Duration;

use flame_wire::backoff::Backoff;
use tokio::time::{Instant, sleep_until};

use super::failure::EngineError;

/// The delays between the attempts.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2)).with_jitter(0.5);

/// For how long a request is made again while the engine is busy with the same container, or with
/// another one that is ending. podman answers with errors then, and Docker if it can't unmount the
/// container's file system yet.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Makes a request until it succeeds, or fails with an error for which `passes` is false, or the
/// deadline is near. The request gets its number, from 0 on.
///
/// The deadline limits the attempts, not the time that the last one takes.
pub(super) async fn retry<T, F: Future<Output = Result<T, EngineError>>>(
    deadline: Instant,
    passes: impl Fn(&EngineError) -> bool,
    request: impl Fn(u32) -> F,
) -> Result<T, EngineError> {
    let mut failures = 0;
    loop {
        let error = match request(failures).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        failures += 1;
        let retry_at = Instant::now() + BACKOFF.pause(failures, rand::random());
        if !passes(&error) || retry_at >= deadline {
            return Err(error);
        }
        sleep_until(retry_at).await;
    }
}
