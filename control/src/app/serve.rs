//! A process that was started with FLAME_PARENT: it serves as one runner, and exits.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::sync::Arc;

use flame_runner_shim::build_id::build_id;
use flame_runner_shim::context::set_process_depth;
use flame_runner_shim::exit_code::{EXIT_NOT_SYNCED, EXIT_REJECTED};
use flame_runner_shim::host::{Host, ProcessHost};
use flame_runner_shim::runner::{Ended, Runner};
use flame_runner_shim::{Connect, lifeline, log, log_writer, panics};
use flame_wire::message::EndReason;
use flame_wire::parent::{FlameParent, HostKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{idle_predicate, reached};
use crate::error::AppError;

/// How many log records may wait for the link. More are dropped, and the log says how many.
const LOG_BUFFER: usize = 1024;

/// Ten years, which in practice is no limit.
const FOREVER_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Serves as the runner that this FLAME_PARENT describes, and exits.
pub(super) async fn serve(flame_parent: &OsStr) -> Result<Infallible, AppError> {
    let text = flame_parent.to_str().ok_or(AppError::NotText)?;
    let mut parent = FlameParent::decode(text).map_err(|error| AppError::Parent(error.into()))?;
    let host = host(parent.host).await?;
    // If the parent is already gone, this ends the process.
    if lifeline::keep_tied() {
        // The kernel ends this process when its parent dies, and a parent that gives up on this
        // runner kills it. So no timeout is needed against orphans, and the runner waits without a
        // limit for a parent that is merely stopped, by Ctrl-Z or by a debugger.
        parent.limits.reconnect_timeout_ms = parent.limits.reconnect_timeout_ms.max(FOREVER_MS);
    }
    panics::install();
    set_process_depth(parent.depth);
    let (records, logs) = mpsc::channel(LOG_BUFFER);
    if parent.limits.log {
        log::install_if_unset(records);
    }
    let (signals, received) = mpsc::unbounded_channel();
    listen_for_signals(signals).map_err(AppError::Signals)?;
    let runner = Runner {
        connect: Connect::Dial {
            addresses: parent.addresses.clone(),
            fingerprint: parent.fingerprint,
        },
        parent,
        host: host.clone(),
        build: build_id().map_err(|error| AppError::Build(error.into()))?.clone(),
        idle_predicate: idle_predicate(),
        logs: Some(logs),
        signals: received,
    };
    // The functions that this runner serves may start pools of their own.
    reached::mark_reached();
    let (reason, code) = exit_of(ended(runner).await);
    // The last line printed repeats the exit code, because the parent keeps a child's last lines.
    log_writer::global().flush().await;
    host.shutdown(reason, code).await;
    // `ProcessHost::shutdown` does not return.
    std::process::exit(code)
}

/// Runs the runner to its end.
///
/// The runner has a task of its own because each call wakes it twice. The root future of a runtime
/// is woken through the runtime's driver or through another thread, which is slower. The `JoinSet`
/// aborts the task if this future is dropped.
async fn ended(runner: Runner) -> Ended {
    let mut tasks = JoinSet::new();
    tasks.spawn(runner.run());
    match tasks.join_next().await {
        Some(Err(panic)) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
        Some(Ok(ended)) => ended,
        // The runtime shuts down, and the process with it.
        _ => std::future::pending().await,
    }
}

/// The reason and the exit code of this process. Prints why, unless the runner ended in order.
fn exit_of(ended: Ended) -> (EndReason, i32) {
    let (reason, code) = match ended {
        Ended::Done { code, reason, .. } => (reason, code),
        Ended::Rejected(rejection) => {
            log_writer::print_line(format!(
                "flame-aws: the parent rejected this runner: {rejection}"
            ));
            (EndReason::ParentLost, EXIT_REJECTED)
        }
        Ended::NotSynced(error) => {
            log_writer::print_line(format!(
                "flame-aws: this runner can't replace itself with its parent's executable: {error}"
            ));
            (EndReason::ParentLost, EXIT_NOT_SYNCED)
        }
        _ => (EndReason::ParentLost, EXIT_REJECTED),
    };
    if ![0, EXIT_REJECTED, EXIT_NOT_SYNCED].contains(&code) {
        log_writer::print_line(format!("flame-aws: this runner exits with code {code}: {reason}"));
    }
    (reason, code)
}

/// The host that this process runs on.
async fn host(kind: HostKind) -> Result<Arc<dyn Host>, AppError> {
    match kind {
        HostKind::Process => Ok(Arc::new(ProcessHost)),
        #[cfg(feature = "ecs")]
        HostKind::Ecs => {
            let host = flame_runner_shim::host::ecs::EcsHost::discover().await;
            Ok(Arc::new(host.map_err(|error| AppError::Ecs(error.into()))?))
        }
        kind => Err(AppError::Host(kind)),
    }
}

/// Sends the numbers of the signals that this process receives.
#[cfg(unix)]
pub(super) fn listen_for_signals(to: mpsc::UnboundedSender<i32>) -> std::io::Result<()> {
    let mut signals = flame_runner_shim::host::TerminationSignals::listen()?;
    tokio::spawn(async move { while to.send(signals.recv().await).is_ok() {} });
    Ok(())
}

/// Sends nothing: only Unix has these signals.
#[cfg(not(unix))]
pub(super) fn listen_for_signals(to: mpsc::UnboundedSender<i32>) -> std::io::Result<()> {
    // Keeps the channel open, because a closed one would mean that no more signals can come.
    std::mem::forget(to);
    Ok(())
}
