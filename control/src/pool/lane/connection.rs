//! The connection to a runner that is up.

use std::time::{Duration, Instant};

use flame_link::Link;
use flame_runner_shim::log_writer;
use flame_wire::ids::CallId;
use flame_wire::message::{ParentToRunner, Tag};
use flame_wire::time::millis;

/// The connection to a runner that is up.
#[derive(Clone)]
pub(crate) struct RunnerConnection {
    pub(crate) link: Link,
    /// The id that its backend gave the instance.
    pub(crate) instance: String,
    pub(crate) pid: Option<u32>,
    /// When its platform ends it, if it does.
    pub(crate) expires: Option<Instant>,
}

impl RunnerConnection {
    /// The call that the runner serves, if it serves exactly one.
    pub(crate) fn only_call(&self) -> Option<CallId> {
        self.link.only_stream().map(|stream| CallId(stream.0))
    }
}

/// Tells a runner to end, and to give its calls at most `within`.
pub(crate) fn send_drain(link: &Link, within: Duration) {
    send(link, &ParentToRunner::Drain { within_ms: millis(within) });
}

/// Answers a runner's idle proposal: it stays, and may propose again after `again_in`.
pub(super) fn send_stay_up(link: &Link, again_in: Option<Duration>) {
    send(link, &ParentToRunner::StayUp { again_in_ms: again_in.map(millis) });
}

/// Tells a runner at which addresses it finds its parent from now on, the preferred one first. The
/// runner uses them when it connects again.
#[expect(dead_code, reason = "no pool changes its addresses yet")]
pub(crate) fn send_addresses(link: &Link, addresses: Vec<String>) {
    send(link, &ParentToRunner::Addresses { addresses });
}

fn send(link: &Link, message: &ParentToRunner) {
    match message.encode() {
        Ok(body) => {
            // Fails only if the link is over, and then the runner is lost anyway.
            let _ = link.send_control(Tag::Control.into(), body.into());
        }
        Err(error) => log_writer::event(move || {
            tracing::error!(%error, "a control message to a runner can't be encoded");
        }),
    }
}
