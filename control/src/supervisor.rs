//! Boots one runner, and takes care of it until it is gone.
//!
//! ```text
//! remote_boot ──▶ wait for its hello ──▶ RunnerUp ──▶ its link or instance ends, or it is told to end
//!     │                 │                                        │
//!     └── failed        └── died, rejected, timed out            ├── it said goodbye: RunnerGone
//!           └───────▶ BootFailed ◀──┘                            └── otherwise: RunnerLost
//! in every case: the instance is stopped, unless it is known to be dead
//! ```

use std::sync::Arc;
use std::time::Duration;

use flame_link::{Driver, Io, LinkEnd, SocketSource};
use flame_runner_shim::runner::link_config;
use flame_wire::hello::Hello;
use flame_wire::mux::Side;
use flame_wire::parent::RunnerLimits;
use flame_wire::trace::TraceContext;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Instrument;

use crate::backend::{BootFailure, Death, Instance, InstanceEvent};
use crate::listener::AddressChanges;
use crate::pool::lane::{
    RunnerCommand, RunnerConnection, RunnerToBoot, send_addresses, send_drain,
};

mod boot;
mod handler;
mod report;
mod spans;
mod stop;

use boot::Boot;
use handler::RunnerHandler;
use report::{RunnerReport, Supervision};
use spans::{BootSpans, ConnectSpan};

/// How much longer than its shutdown window a drained runner may take to be gone.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// How long the last messages and printed lines of a runner may take to arrive after its end.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// Completes when the instance has died.
type InstanceDeath = Shared<BoxFuture<'static, Death>>;

/// Boots a runner and takes care of it, in a task of its own.
pub(crate) fn start(runner: RunnerToBoot) {
    let runtime = runner.lane.shared.runtime.clone();
    let RunnerToBoot { lane, id, runner, commands, waiting_call } = runner;
    let report = RunnerReport::new(lane, id, runner);
    // From before the boot, so that the runner learns of every change since then.
    let address_changes = report.lane.shared.endpoint.changes();
    runtime.spawn(Supervisor { report, commands, address_changes, waiting_call }.run());
}

/// Takes care of one runner. Keeps nothing of its FLAME_PARENT after the boot: the token in it is
/// known only as a hash from then on.
struct Supervisor {
    report: RunnerReport,
    commands: watch::Receiver<RunnerCommand>,
    address_changes: AddressChanges,
    /// The call in whose trace the boot is.
    waiting_call: Option<TraceContext>,
}

/// A runner's first socket, and where later ones arrive.
struct Connected {
    io: Io,
    hello: Hello,
    later_sockets: mpsc::Receiver<Io>,
}

impl Supervisor {
    async fn run(mut self) {
        let mut supervision = Supervision::new(self.report.clone());
        self.supervise(&mut supervision).await;
        supervision.finish();
    }

    async fn supervise(&mut self, supervision: &mut Supervision) {
        let report = self.report.clone();
        let runner = report.runner;
        let began = Instant::now();
        let deadline = began + report.lane.config.boot_timeout;
        let (boot, request) = match Boot::begin(&report, deadline) {
            Ok(begun) => begun,
            Err(failure) => return report.boot_failed(failure),
        };
        let spans = BootSpans::begin(runner, &report.lane.shared.name, self.waiting_call);
        let mut request = Box::pin(request.instrument(spans.boot.clone()));
        let instance = match timeout_at(deadline, &mut request).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(failure)) => return report.boot_failed(failure),
            Err(_) => {
                report.boot_failed(boot::backend_timed_out(&report));
                // An instance that the backend returns later is not forgotten.
                return self.stop_late_instance(request, supervision).await;
            }
        };
        drop(request);
        let accepted = Instant::now();
        report.instance_began(began);
        let ConnectSpan { span, trace, boot: boot_trace } = spans.connect();
        let death = supervision.watch(&instance);
        let connected =
            boot.wait_for_hello(&report, &mut self.commands, death.clone()).instrument(span).await;
        match connected {
            Ok(connected) => {
                report.booted(&instance, began, accepted, trace);
                report.instance_event(&instance, InstanceEvent::Connected);
                self.serve(&instance, connected, death.clone(), boot_trace).await;
            }
            Err(mut failure) => {
                if failure.log_tail.is_empty() {
                    failure.log_tail = self.stop_and_read_output(&instance, death.clone()).await;
                }
                report.boot_failed(failure);
            }
        }
        stop::stop(&report, &instance, death).await;
        supervision.instance_is_gone();
    }

    /// Stops the instance that a boot returns after it has timed out, if it returns one.
    async fn stop_late_instance(
        &self,
        request: impl Future<Output = Result<Instance, BootFailure>>,
        supervision: &mut Supervision,
    ) {
        match timeout(boot::LATE_BOOT_TIMEOUT, request).await {
            Ok(Ok(instance)) => {
                self.report.instance_began(Instant::now());
                let death = supervision.watch(&instance);
                stop::stop(&self.report, &instance, death).await;
                supervision.instance_is_gone();
            }
            Ok(Err(_)) => {}
            Err(_) => {
                let why = format!(
                    "its backend has not said within {:?} whether it started an instance",
                    boot::LATE_BOOT_TIMEOUT
                );
                self.report.stop_failed(None, why);
            }
        }
    }

    /// Serves calls on a runner until its link or its instance ends, or until it must end.
    async fn serve(
        &mut self,
        instance: &Instance,
        connected: Connected,
        death: InstanceDeath,
        boot: Option<TraceContext>,
    ) {
        let report = self.report.clone();
        let limits = &report.lane.config.runner_limits;
        let Connected { io, hello, later_sockets } = connected;
        let handler = RunnerHandler::new(report.clone());
        let (link, driver) = Driver::new(Side::Parent, link_config(limits), |_| handler);
        let mut driver = tokio::spawn(driver.run(io, SocketSource::Accepted(later_sockets)));
        let connection = RunnerConnection {
            link: link.clone(),
            instance: instance.id.clone(),
            pid: hello.pid,
            expires: expires(&hello, limits),
        };
        report.up(connection, boot);
        let aborted = self.until_end(&link, &mut driver, death.clone()).await;
        if let Some(why) = aborted {
            link.abort(why);
            let _ = driver.await;
        }
        if report.has_said_goodbye() {
            report.instance_event(instance, InstanceEvent::Exiting);
            let _ = timeout(DRAIN_GRACE, death).await;
        } else {
            // The link's end has reported it already, unless the link's task has panicked.
            report.lost();
        }
    }

    /// Waits for the end of a runner that serves, and passes commands on to it. Returns why its
    /// link must be aborted; `None` if the link is over.
    async fn until_end(
        &mut self,
        link: &flame_link::Link,
        driver: &mut JoinHandle<Arc<LinkEnd>>,
        death: InstanceDeath,
    ) -> Option<String> {
        let shutdown_timeout = self.report.lane.config.shutdown_timeout;
        let mut link_status = self.report.link_status();
        let mut goodbye = link_status.clone();
        let mut ends_by = None;
        loop {
            let overdue = async {
                match ends_by {
                    Some(limit) => sleep_until(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut *driver => return None,
                death = death.clone() => {
                    // Reads the messages that the runner sent before it died, until its socket
                    // closes.
                    let disconnected = until(&mut link_status, |status| !status.connected);
                    let _ = timeout(LAST_OUTPUT_TIMEOUT, disconnected).await;
                    // With the last lines that it printed.
                    return Some(BootFailure::from(death).to_string());
                }
                () = overdue => return Some("it did not end when it was told to".to_owned()),
                changed = self.commands.changed() => match *self.commands.borrow_and_update() {
                    _ if changed.is_err() => return Some("its pool is gone".to_owned()),
                    RunnerCommand::Stop => return Some("its pool stopped it".to_owned()),
                    RunnerCommand::Serve => {}
                    command => {
                        let hurry = command == RunnerCommand::Hurry;
                        let within = if hurry { Duration::ZERO } else { shutdown_timeout };
                        send_drain(link, within);
                        ends_by = Some(Instant::now() + within + DRAIN_GRACE);
                    }
                },
                () = self.address_changes.changed() => {
                    let report = &self.report;
                    send_addresses(link, report.lane.shared.endpoint.addresses(report.runner));
                }
                // The results of its last calls may still be under way when it says goodbye.
                () = until(&mut goodbye, |status| status.said_goodbye), if ends_by.is_none() => {
                    ends_by = Some(Instant::now() + shutdown_timeout + DRAIN_GRACE);
                }
            }
        }
    }

    /// Stops an instance that did not become a runner, and returns the last lines that it printed,
    /// if they arrive soon: they may say why.
    async fn stop_and_read_output(&self, instance: &Instance, death: InstanceDeath) -> Vec<String> {
        let output = async {
            // If this fails, it is tried again, and reported, when the supervisor stops the
            // instance.
            let _ = self.report.lane.instances.stop(instance).await;
            death.await.log_tail
        };
        timeout(LAST_OUTPUT_TIMEOUT, output).await.unwrap_or_default()
    }
}

/// When calls on the runner must be over. The runner drains by itself shortly before its platform
/// ends it.
fn expires(hello: &Hello, limits: &RunnerLimits) -> Option<std::time::Instant> {
    let left = hello.expires_in_ms?.saturating_sub(limits.host_margin_ms);
    // A time beyond the range of the clock is no limit.
    Instant::now().into_std().checked_add(Duration::from_millis(left))
}

/// Waits until the condition holds; for ever, if the sender is gone.
async fn until<T>(watched: &mut watch::Receiver<T>, condition: impl FnMut(&T) -> bool) {
    if watched.wait_for(condition).await.is_err() {
        std::future::pending().await
    }
}
