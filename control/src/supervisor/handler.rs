//! Handles what arrives on a runner's link.

use std::time::Duration;

use flame_link::{Handler, LinkEnd, Stream};
use flame_runner_shim::log_writer;
use flame_wire::message::RunnerToParent;
use flame_wire::mux::Message;

use super::report::RunnerReport;

/// Handles the control messages of a runner, and the end of its link. Runs in the link's task.
pub(super) struct RunnerHandler {
    report: RunnerReport,
    /// Whether the link has had a socket.
    was_connected: bool,
}

impl RunnerHandler {
    pub(super) fn new(report: RunnerReport) -> Self {
        Self { report, was_connected: false }
    }
}

impl Handler for RunnerHandler {
    fn on_stream_opened(&mut self, stream: Stream, _: Message) {
        // Dropping the stream rejects it.
        let runner = self.report.runner;
        log_writer::event(move || {
            tracing::warn!(%runner, ?stream, "a runner opened a stream, which is not in the protocol");
        });
    }

    fn on_control(&mut self, message: Message) {
        let runner = self.report.runner;
        match RunnerToParent::decode(&message.body) {
            Ok(RunnerToParent::Idle { idle_ms, .. }) => {
                self.report.idle(Duration::from_millis(idle_ms));
            }
            Ok(RunnerToParent::Draining { reason }) => {
                tracing::debug!(%runner, %reason, "a runner drains");
                self.report.draining();
            }
            Ok(RunnerToParent::Goodbye { reason }) => {
                tracing::debug!(%runner, %reason, "a runner says goodbye");
                self.report.goodbye();
            }
            Ok(RunnerToParent::Log(record)) => self.report.lane.shared.log.event(runner, record),
            Ok(_) => log_writer::event(move || {
                tracing::warn!(%runner, "a runner sent a control message of an unknown kind");
            }),
            Err(error) => log_writer::event(move || {
                tracing::warn!(%runner, %error, "a control message of a runner can't be decoded");
            }),
        }
    }

    fn on_connected(&mut self) {
        if std::mem::replace(&mut self.was_connected, true) {
            self.report.lane.recorder.reconnected();
        }
        self.report.connected(true);
    }

    fn on_disconnected(&mut self) {
        self.report.connected(false);
    }

    /// The link calls this before it drops the leases of its streams. So the state machine knows
    /// that the runner is gone before its slots become free.
    fn on_closed(&mut self, end: &LinkEnd) {
        self.report.link_ended(end);
    }
}
