//! The signals that ask a process to end.

use std::io;

use tokio::sync::mpsc;

/// Receives the numbers of the signals that ask this process to end: SIGTERM and SIGINT. From now
/// on they no longer end it. Several signals of one kind may be reported as one. On a system other
/// than Unix, nothing is received.
///
/// # Errors
///
/// If the handlers can't be installed.
///
/// # Panics
///
/// Outside a tokio runtime with I/O enabled.
#[cfg(unix)]
pub fn termination_signals() -> io::Result<mpsc::UnboundedReceiver<i32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (to, received) = mpsc::unbounded_channel();
    let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
    let (mut terminates, mut interrupts) = (signal(terminate)?, signal(interrupt)?);
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                Some(()) = terminates.recv() => terminate.as_raw_value(),
                Some(()) = interrupts.recv() => interrupt.as_raw_value(),
                // Neither stream ends while the runtime exists.
                else => std::future::pending().await,
            };
            if to.send(number).is_err() {
                return;
            }
        }
    });
    Ok(received)
}

/// Receives nothing: only Unix has these signals.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub fn termination_signals() -> io::Result<mpsc::UnboundedReceiver<i32>> {
    let (to, received) = mpsc::unbounded_channel();
    // Keeps the channel open, because a closed one would mean that no more signals can come.
    std::mem::forget(to);
    Ok(received)
}
