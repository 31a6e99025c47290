//! The signals that ask this process to end.

use flame_runner_shim::host::TerminationSignals;
use tokio::sync::mpsc;

use crate::error::RunError;

/// Receives the numbers of the signals.
pub(crate) fn listen() -> Result<mpsc::UnboundedReceiver<i32>, RunError> {
    let (to, received) = mpsc::unbounded_channel();
    let mut signals = TerminationSignals::listen().map_err(RunError::Signals)?;
    tokio::spawn(async move { while to.send(signals.recv().await).is_ok() {} });
    Ok(received)
}
