//! The `flame-relay` process of a storm: it is killed, stopped and drained, and in the end nothing
//! may be left over in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flame_tests::relay::program::{self, RelayCommand, RelayProgram};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::context::StormContext;
use crate::report::Section;
use crate::resources::TOLERATED_KIB;

/// How long the relay may take to forget connections that have ended.
const SETTLING_TIME: Duration = Duration::from_secs(20);
/// The pause between two looks at the relay.
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct StormRelay {
    context: Arc<StormContext>,
    executable: PathBuf,
    command: RelayCommand,
    relay: RelayProgram,
    /// The resources of a relay that has served nobody yet.
    idle_descriptors: usize,
    idle_kib: u64,
}

impl StormRelay {
    /// Returns `None` if another process has taken the port.
    pub(crate) async fn start(
        context: &Arc<StormContext>,
        listen: SocketAddr,
        flags: &[&str],
    ) -> Option<Self> {
        let executable = program::executable().await;
        let command = RelayCommand::new(listen, flags, &context.relay_log());
        let relay = command.start(&executable).await?;
        let (idle_descriptors, idle_kib) = (relay.open_descriptors(), relay.resident_kib());
        let context = context.clone();
        Some(Self { context, executable, command, relay, idle_descriptors, idle_kib })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.relay.pid()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.relay.address()
    }

    /// The relay is killed, and started again after `down`.
    pub(crate) async fn is_killed(&mut self, down: Duration) {
        self.context.ledger.count(Section::Disruptions, "relay killed", 1);
        self.relay.signal(Signal::KILL);
        self.relay.wait().await;
        sleep(down).await;
        self.restart().await;
    }

    /// The relay drains and exits, and is started again.
    pub(crate) async fn drains(&mut self) {
        self.context.ledger.count(Section::Disruptions, "relay drained", 1);
        self.terminate().await;
        self.restart().await;
    }

    /// The relay is stopped, and continues after `time`.
    pub(crate) async fn is_stopped(&mut self, time: Duration) {
        self.context.ledger.count(Section::Disruptions, "relay stopped and continued", 1);
        self.relay.signal(Signal::STOP);
        sleep(time).await;
        self.relay.signal(Signal::CONT);
    }

    /// The value of a metric, if the relay answers.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        self.relay.metric(name).await
    }

    /// Waits until a metric is 0. Anything else is left over.
    pub(crate) async fn expect_zero(&self, metric: &str, name: &str) {
        let mut last = None;
        let is_zero = async {
            while last != Some(0.0) {
                last = self.relay.metric(metric).await;
                sleep(POLL).await;
            }
        };
        let is_left_over = timeout(SETTLING_TIME, is_zero).await.is_err();
        let details = format!("{metric} is {last:?}");
        self.left_over(name, u64::from(is_left_over), is_left_over, &details);
    }

    /// Checks that nothing is left over in the relay, and that it exits.
    pub(crate) async fn end(mut self) {
        self.expect_zero("flame_relay_connections", "relay connections").await;
        let end = Instant::now() + SETTLING_TIME;
        while self.relay.open_descriptors() > self.idle_descriptors && Instant::now() < end {
            sleep(POLL).await;
        }
        let (open, idle) = (self.relay.open_descriptors(), self.idle_descriptors);
        let more = open.saturating_sub(idle) as u64;
        self.left_over("relay descriptors", more, more > 0, &format!("{open}, not {idle}"));
        let (used, idle) = (self.relay.resident_kib(), self.idle_kib);
        let more = used.saturating_sub(idle);
        let details = format!("{used} KiB, not {idle} KiB");
        self.left_over("relay memory, KiB", more, more > TOLERATED_KIB, &details);
        self.terminate().await;
    }

    fn left_over(&self, name: &str, more: u64, is_violation: bool, details: &str) {
        self.context.ledger.count(Section::Leftovers, name, more);
        if is_violation {
            self.context.ledger.violation(&format!("{name} left over"), details);
        }
    }

    async fn terminate(&mut self) {
        self.relay.signal(Signal::TERM);
        let watchdog = self.context.watchdog.clone();
        let status = watchdog.wait_for("the exit of the relay".to_owned(), self.relay.wait()).await;
        if !status.success() {
            let details = format!("after SIGTERM: {status}");
            self.context.ledger.violation("relay exited with an error", &details);
        }
    }

    async fn restart(&mut self) {
        loop {
            // Another process may have taken the port for a moment.
            if let Some(relay) = self.command.start(&self.executable).await {
                self.relay = relay;
                return;
            }
            sleep(POLL).await;
        }
    }
}
