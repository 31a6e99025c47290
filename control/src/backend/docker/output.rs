//! Reads what a container prints.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::sleep;

use super::engine::Engine;
use crate::backend::OutputStream;
use crate::backend::output::RunnerOutput;
use crate::backend::sweep::unix_now;

/// The pause before the output is asked for again, after a connection to the engine has broken.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads the output until the container is dead. If the engine is restarted, lines of that time may
/// be missing, or be there twice.
pub(super) async fn read(
    engine: Engine,
    name: String,
    output: RunnerOutput,
    mut dead: watch::Receiver<bool>,
) {
    let mut stdout = output.reader(OutputStream::Stdout, dead.clone());
    let mut stderr = output.reader(OutputStream::Stderr, dead.clone());
    let mut since = 0;
    while !*dead.borrow() {
        let mut chunks = pin!(engine.output(&name, since));
        while let Some(Ok((stream, bytes))) = chunks.next().await {
            match stream {
                OutputStream::Stdout => stdout.push(&bytes).await,
                OutputStream::Stderr => stderr.push(&bytes).await,
            }
        }
        // Either the container has ended, and its death is about to be reported, or the connection
        // has broken.
        since = unix_now();
        tokio::select! {
            () = sleep(PAUSE) => {}
            // Also completes when the pool is gone, and with it the sender.
            _ = dead.wait_for(|dead| *dead) => break,
        }
    }
    stdout.finish();
    stderr.finish();
}
