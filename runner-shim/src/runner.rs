//! One runner, from its first attempt to connect to its goodbye.
//!
//! ```text
//!  dialling.rs ── socket ──▶ link ──▶ serving.rs ── calls start, calls end ──┐
//!  host.rs ── signals ───────────────────────────────────────────────────────┼──▶ terminator.rs
//!  clock ── timers ──────────────────────────────────────────────────────────┘      │ actions
//!                                            driver.rs carries them out ◀───────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use flame_link::LinkConfig;
use flame_wire::entropy;
use flame_wire::hello::{Hello, PROTOCOL, Proof};
use flame_wire::ids::BuildId;
use flame_wire::message::LogMessage;
use flame_wire::mux::MuxConfig;
use flame_wire::parent::{FlameParent, HostKind, RunnerLimits};
use flame_wire::time::millis;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use self::dialling::Connect;
use self::dialling::Dialler;
use self::driver::{EXIT_MARGIN, RunnerDriver};
pub use self::end_hook::{EndHook, run_end_hook};
pub use self::ended::Ended;
use self::serving::Calls;
use self::terminator::Terminator;
use crate::boot_variables::boot_variables;
use crate::code_sync::CodeSync;
use crate::host::Host;
use crate::log_writer;

pub(crate) mod channel_drain;
mod dialling;
mod driver;
mod end_hook;
mod ended;
mod held_values;
mod serving;
mod terminator;
mod watchdog;

/// How long before the kill that follows a signal the shutdown window ends, so that answers,
/// goodbye and exit have time. It is at most half of the time between the signal and the kill.
const KILL_MARGIN: Duration = Duration::from_secs(5);

/// The app's answer to "may this idle runner end?".
pub type IdlePredicate = Arc<dyn Fn() -> bool + Send + Sync>;

/// Everything that a runner needs at its start.
pub struct Runner {
    /// The decoded FLAME_PARENT.
    pub parent: FlameParent,
    /// The platform on which the runner runs.
    pub host: Arc<dyn Host>,
    /// The build id of its executable.
    pub build: BuildId,
    /// How it reaches its parent.
    pub connect: Connect,
    /// Asked before the runner proposes to end; `None`: it always may.
    pub idle_predicate: Option<IdlePredicate>,
    /// The app's log records.
    pub logs: Option<mpsc::Receiver<LogMessage>>,
    /// The numbers of signals that ask the runner to end, such as SIGTERM.
    pub signals: mpsc::UnboundedReceiver<i32>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("parent", &self.parent).finish_non_exhaustive()
    }
}

impl Runner {
    /// Runs until the runner ends. The caller then shuts the host down.
    pub async fn run(self) -> Ended {
        let limits = &self.parent.limits;
        let _watchdog = self.watch_runtime();
        let expires_in = self.host.expires_in();
        let now = Instant::now();
        let expiry_less = |margin| now.checked_add(expires_in?.saturating_sub(margin));
        let (events, inbox) = mpsc::unbounded_channel();
        let calls = Calls::new(self.parent.runner, limits.max_depth, events.clone());
        let host_deadline = expiry_less(Duration::from_millis(limits.host_margin_ms));
        let terminator = Terminator::new(now.into_std(), self.terminator_config(host_deadline));
        let supervised = boot_variables().is_supervised();
        let sync = CodeSync::of(self.parent.runner, self.host.kind());
        let hello = Hello {
            protocol: PROTOCOL,
            runner: self.parent.runner,
            proof: Proof::BootToken(self.parent.token.clone()),
            build: self.build.clone(),
            instance: self.host.instance(),
            pid: Some(std::process::id()),
            expires_in_ms: expires_in.map(millis),
            synced: sync.is_done(),
            // From the operating system, not from a generator in this process: two Lambda
            // environments restored from one snapshot would generate the same value, and the parent
            // would admit both with one token.
            incarnation: entropy::random_bytes()
                .map_or_else(|_| rand::random(), u64::from_le_bytes),
            supervised,
        };
        let reconnect_timeout = Duration::from_millis(limits.reconnect_timeout_ms);
        let dialler =
            Dialler::new(self.connect.clone(), hello, sync, reconnect_timeout, events.clone());
        let latest_end = expiry_less(EXIT_MARGIN);
        RunnerDriver::new(self, calls, (events, inbox), terminator, latest_end).run(&dialler).await
    }

    fn terminator_config(&self, host_deadline: Option<Instant>) -> terminator::Config {
        let limits = &self.parent.limits;
        terminator::Config {
            failsafe: Duration::from_millis(limits.failsafe_ms),
            reconnect_timeout: Duration::from_millis(limits.reconnect_timeout_ms),
            idle: limits.idle_ms.map(Duration::from_millis),
            ask_predicate: self.idle_predicate.is_some(),
            max_lifetime: limits.max_lifetime_ms.map(Duration::from_millis),
            host_deadline: host_deadline.map(Instant::into_std),
            shutdown: Duration::from_millis(limits.shutdown_ms),
            after_signal: self.host.kills_after().map(|kill| kill - KILL_MARGIN.min(kill / 2)),
            single_use: limits.single_use,
        }
    }

    /// Watches the runtime, unless it is the parent's.
    fn watch_runtime(&self) -> Option<watchdog::StarvationWatchdog> {
        if self.host.kind() == HostKind::Local {
            return None;
        }
        // Well before the parent gives up, but not for a short delay.
        let keepalive_timeout = Duration::from_millis(self.parent.limits.keepalive_timeout_ms);
        let limit =
            (keepalive_timeout / 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
        watchdog::watch(limit, |message| log_writer::print_line(format!("flame-aws: {message}")))
    }
}

/// The link's limits, as FLAME_PARENT gives them.
#[must_use]
pub fn link_config(limits: &RunnerLimits) -> LinkConfig {
    LinkConfig {
        mux: MuxConfig { max_message: limits.max_message, ..MuxConfig::default() },
        ping: Duration::from_millis(limits.ping_ms),
        keepalive_timeout: Duration::from_millis(limits.keepalive_timeout_ms),
        reconnect_timeout: Duration::from_millis(limits.reconnect_timeout_ms),
        ..LinkConfig::default()
    }
}
