//! One runner's life, from the first dial to the last goodbye.
//!
//! ```text
//!  dialling.rs ── socket ──▶ link ──▶ serving.rs ─ started, ended ┐
//!  host.rs ── signals ─────────────────────────────────────────────┼──▶ Terminator ──▶ actions
//!  clock ── timers ────────────────────────────────────────────────┘      (pure)
//! ```
//!
//! The loop here is the terminator's driver: it decides nothing.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{Driver, Link, LinkConfig, Sockets};
use flame_wire::entropy;
use flame_wire::hello::{Hello, PROTOCOL, Proof, Refusal};
use flame_wire::ids::BuildId;
use flame_wire::message::{EndReason, LogRecord, RunnerToParent, Tag};
use flame_wire::mux::{MuxConfig, Side};
use flame_wire::parent::{FlameParent, HostKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::dialling::Connect;
use self::dialling::{DialError, DialOutcome, Dialler};
use self::serving::{CallHandler, Calls};
use self::terminator::{Action, Config, Event, Terminator};
use crate::code_sync::{CodeSync, SyncError, SyncedExecutable};
use crate::host::Host;
use crate::log_writer;

pub(crate) mod channel_drain;
mod dialling;
mod held_values;
mod serving;
pub(crate) mod terminator;
#[cfg(test)]
mod tests;
mod watchdog;

/// How long the idle predicate may take; no answer means that the runner stays.
const PREDICATE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long channels, answers and the goodbye may take to get out; or what is left of the shutdown
/// window, if that is longer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of that is kept free to tell the receivers what is lost: at most half.
const LOSS_NOTICE_TIME: Duration = Duration::from_secs(1);
/// What is kept free before the host's deadline, to leave in order.
const EXIT_MARGIN: Duration = Duration::from_secs(1);
/// What is kept free between the end of the shutdown window and the kill that follows a signal: at most
/// half of the time in between. Answers, goodbye and exit must fit in.
const KILL_MARGIN: Duration = Duration::from_secs(5);
/// How long functions may take to notice that their calls are over: before the goodbye, and once
/// more where the process goes on.
const FUNCTION_END_TIMEOUT: Duration = Duration::from_secs(1);

/// What the app says to "may this idle runner go?".
pub type IdlePredicate = Arc<dyn Fn() -> bool + Send + Sync>;

/// All that a runner is started with.
pub struct Runner {
    /// What it was booted with.
    pub parent: FlameParent,
    /// Where it runs.
    pub host: Arc<dyn Host>,
    /// Its executable.
    pub build: BuildId,
    /// How it reaches its parent.
    pub connect: Connect,
    /// Asked before it proposes to end; none: it may always.
    pub idle_predicate: Option<IdlePredicate>,
    /// What the app logs.
    pub logs: Option<mpsc::Receiver<LogRecord>>,
    /// Asks it to end, as SIGTERM does; carries the signal's number.
    pub signals: mpsc::UnboundedReceiver<i32>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("parent", &self.parent).finish_non_exhaustive()
    }
}

/// How a runner ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// In order, or by one of its timers.
    Done {
        /// What the host is to exit with.
        code: i32,
        /// Why.
        reason: EndReason,
        /// Calls that it has served.
        calls: u64,
        /// Functions that run on although their calls are over; known only where the host
        /// [is reused](Host::is_reused). They are plain ones, or block: nothing can stop them.
        still_running: usize,
    },
    /// The parent would not have it.
    Refused(Refusal),
    /// It was to become its parent's executable, and could not. Where it can, nothing ends: the
    /// process goes on as another program.
    NotSynced(SyncError),
}

impl Runner {
    /// Lives. The caller shuts the host down after it.
    pub async fn run(self) -> Ended {
        let limits = &self.parent.limits;
        let _watchdog = self.watch();
        let expires_in = self.host.expires_in();
        let now = Instant::now();
        let until = |margin| now.checked_add(expires_in?.saturating_sub(margin));
        let margin = Duration::from_millis(limits.host_margin_ms);
        let (events, inbox) = mpsc::unbounded_channel();
        let calls = Calls::new(self.parent.runner, limits.max_depth, events.clone());
        let terminator = Terminator::new(
            now.into_std(),
            Config {
                failsafe: Duration::from_millis(limits.failsafe_ms),
                reconnect_timeout: Duration::from_millis(limits.reconnect_timeout_ms),
                idle: limits.idle_ms.map(Duration::from_millis),
                ask_predicate: self.idle_predicate.is_some(),
                max_lifetime: limits.max_lifetime_ms.map(Duration::from_millis),
                host_deadline: until(margin).map(Instant::into_std),
                shutdown: Duration::from_millis(limits.shutdown_ms),
                after_signal: self.host.kills_after().map(|kill| kill - KILL_MARGIN.min(kill / 2)),
                single_use: limits.single_use,
            },
        );
        let sync = CodeSync::of(self.parent.runner, self.host.kind());
        let hello = Hello {
            protocol: PROTOCOL,
            runner: self.parent.runner,
            proof: Proof::First(self.parent.token.clone()),
            build: self.build.clone(),
            instance: self.host.instance(),
            pid: Some(std::process::id()),
            expires_in_ms: expires_in
                .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            synced: sync.is_done(),
            // Never from a generator of this process: two environments of Lambda's that were restored
            // from one snapshot would have the same life, and with one token both would be let in.
            life: entropy::fresh().map_or_else(|_| rand::random(), u64::from_le_bytes),
        };
        let dialler = Dialler::new(self.connect.clone(), hello, sync, events.clone());
        RunnerDriver {
            config: link_config(&self.parent),
            runner: self,
            calls,
            events,
            inbox,
            terminator,
            synced: None,
            latest_end: until(EXIT_MARGIN),
            link: None,
            driver: None,
            forwarder: None,
        }
        .run(&dialler)
        .await
    }

    /// Watches the runtime, where it is the runner's own.
    fn watch(&self) -> Option<watchdog::Watchdog> {
        if self.host.kind() == HostKind::Local {
            return None;
        }
        // Long before the parent gives up, and never for what is only a little late.
        let keepalive_timeout = Duration::from_millis(self.parent.limits.keepalive_timeout_ms);
        let limit =
            (keepalive_timeout / 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
        watchdog::watch(limit, |complaint| log_writer::print_line(format!("flame: {complaint}")))
    }
}

/// The link's limits as FLAME_PARENT gives them.
#[must_use]
pub fn link_config(parent: &FlameParent) -> LinkConfig {
    let limits = &parent.limits;
    LinkConfig {
        mux: MuxConfig { max_message: limits.max_message, ..MuxConfig::default() },
        ping: Duration::from_millis(limits.ping_ms),
        keepalive_timeout: Duration::from_millis(limits.keepalive_timeout_ms),
        reconnect_timeout: Duration::from_millis(limits.reconnect_timeout_ms),
        ..LinkConfig::default()
    }
}

struct RunnerDriver {
    runner: Runner,
    config: LinkConfig,
    calls: Arc<Calls>,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    terminator: Terminator,
    /// What this process becomes next.
    synced: Option<SyncedExecutable>,
    /// When the host ends this life, or shortly before.
    latest_end: Option<Instant>,
    link: Option<Link>,
    driver: Option<JoinHandle<()>>,
    /// Passes the log on.
    forwarder: Option<JoinHandle<()>>,
}

impl RunnerDriver {
    async fn run(mut self, dialler: &Dialler) -> Ended {
        let mut ended = self.drive(dialler).await;
        if self.runner.host.is_reused() {
            let remaining = self.clean_up().await;
            if let Ended::Done { still_running, .. } = &mut ended {
                *still_running = remaining;
            }
        }
        ended
    }

    async fn drive(&mut self, dialler: &Dialler) -> Ended {
        let first = dialler.connect();
        tokio::pin!(first);
        loop {
            while let Some(action) = self.terminator.poll_action() {
                if let Some(ended) = self.execute(action).await {
                    return ended;
                }
            }
            if let Some(synced) = self.synced.take() {
                return Ended::NotSynced(synced.exec().await);
            }
            let due = self.terminator.poll_timeout();
            let now = |event| (Instant::now().into_std(), event);
            let (at, event) = tokio::select! {
                Some(event) = self.inbox.recv() => now(Some(event)),
                Some(signal) = self.runner.signals.recv() => {
                    // What has happened before it counts: whether the hello is out, above all.
                    self.take_events();
                    self.shorten_for_signal();
                    now(Some(Event::Signal(signal)))
                }
                dialled = &mut first, if self.link.is_none() => match dialled {
                    Ok(DialOutcome::Connected(io)) => {
                        self.start_link(io, dialler.clone());
                        continue;
                    }
                    Ok(DialOutcome::CodeSynced(synced)) => {
                        // Unless it was told to end: what it would become knows nothing of that.
                        self.take_events();
                        if let Ok(signal) = self.runner.signals.try_recv() {
                            self.shorten_for_signal();
                            self.terminator.handle(Instant::now().into_std(), Event::Signal(signal));
                        }
                        self.synced = Some(synced);
                        continue;
                    }
                    Err(DialError::Refused(refusal)) => return Ended::Refused(refusal),
                    Err(DialError::NotSynced(error)) => return Ended::NotSynced(error),
                },
                () = sleep_until(due) => now(None),
            };
            match event {
                Some(event) => self.terminator.handle(at, event),
                None => self.terminator.handle_timeout(at),
            }
        }
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.inbox.try_recv() {
            self.terminator.handle(Instant::now().into_std(), event);
        }
    }

    /// There was a signal: the kill that may follow is the latest end there can be.
    fn shorten_for_signal(&mut self) {
        let kill = self.runner.host.kills_after();
        let last = kill.and_then(|kill| {
            Instant::now().checked_add(kill.saturating_sub(EXIT_MARGIN.min(kill / 4)))
        });
        self.latest_end = last.into_iter().chain(self.latest_end).min();
    }

    fn start_link(&mut self, io: flame_link::Io, dialler: Dialler) {
        let handler = CallHandler(self.calls.clone());
        let (link, driver) = Driver::new(Side::Runner, self.config, |_| handler);
        let redial: flame_link::Dial = Box::new(move || {
            let dialler = dialler.clone();
            Box::pin(async move {
                match dialler.connect().await {
                    Ok(DialOutcome::Connected(io)) => Ok(io),
                    Err(DialError::Refused(refusal)) => Err(refusal.to_string()),
                    Err(DialError::NotSynced(error)) => Err(error.to_string()),
                    // Its link is of this process, and so are the calls on it.
                    Ok(DialOutcome::CodeSynced(_)) => {
                        Err("its parent is of another build now".to_owned())
                    }
                }
            })
        });
        let events = self.events.clone();
        self.driver = Some(tokio::spawn(async move {
            let end = driver.run(io, Sockets::Dialled(redial)).await;
            tracing::debug!(%end, "the link to the parent is over");
            let _ = events.send(Event::LinkClosed);
        }));
        if let Some(logs) = self.runner.logs.take() {
            self.forwarder = Some(tokio::spawn(forward_logs(link.clone(), logs)));
        }
        self.link = Some(link);
    }

    async fn execute(&mut self, action: Action) -> Option<Ended> {
        match action {
            Action::AskPredicate => self.ask_idle_predicate(),
            Action::ProposeIdle { idle_for } => self.send_control(&RunnerToParent::Idle {
                idle_ms: u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX),
                calls_done: self.calls.calls_done(),
            }),
            Action::RefuseNewCalls => self.calls.refuse_new(),
            Action::AnnounceDraining(reason) => {
                self.send_control(&RunnerToParent::Draining { reason })
            }
            Action::FailRemaining => self.calls.abort_all(),
            Action::SayGoodbye(reason) => self.say_goodbye(reason).await,
            Action::Exit { code, reason } => {
                return Some(Ended::Done {
                    code,
                    reason,
                    calls: self.calls.calls_done(),
                    still_running: 0,
                });
            }
        }
        None
    }

    /// Lets the goodbye, and the messages of channels and the answers before it, get out; unless the
    /// host wants it gone at once.
    async fn say_goodbye(&mut self, reason: EndReason) {
        let (Some(link), Some(mut driver)) = (self.link.clone(), self.driver.take()) else {
            return;
        };
        let now = Instant::now();
        // A drain has one window in all: what its calls have used is not there for this.
        let window = match self.terminator.window_ends() {
            Some(end) => end.saturating_duration_since(now.into_std()),
            None => Duration::from_millis(self.runner.parent.limits.shutdown_ms),
        };
        let by = now.checked_add(window.max(GOODBYE_TIMEOUT));
        let by = by.into_iter().chain(self.latest_end).min();
        let patience = sleep_until(by.map(Instant::into_std));
        let cut = by.map(|by| {
            let left = by.saturating_duration_since(now);
            now + left.saturating_sub(LOSS_NOTICE_TIME.min(left / 2))
        });
        let calls = self.calls.clone();
        let goodbye = async {
            // Those that were cut off just now say so first, unless they block.
            let _ = tokio::time::timeout(FUNCTION_END_TIMEOUT, calls.all_answered()).await;
            tokio::select! {
                biased;
                () = calls.channel_drain().drain() => {}
                () = sleep_until(cut.map(Instant::into_std)) => calls.channel_drain().abort().await,
            }
            send_control(&link, &RunnerToParent::Goodbye { reason });
            link.close();
            let _ = (&mut driver).await;
        };
        let signals = &mut self.runner.signals;
        let second_signal = async {
            // As everywhere, it is the second signal that insists.
            let seen = u8::from(matches!(reason, EndReason::Signal(_)));
            for _ in seen..2 {
                if signals.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = goodbye => return,
            () = patience => {}
            () = second_signal => {}
        }
        self.driver = Some(driver);
    }

    /// The process goes on, and nothing of this life may: neither its socket nor its tasks. With
    /// the link go the calls. What does not notice is left, and counted: plain functions, and async
    /// ones that block, which may hold up the link's task as well.
    async fn clean_up(&mut self) -> usize {
        let tasks = [self.driver.take(), self.forwarder.take()];
        let gone = async {
            for task in tasks.into_iter().flatten() {
                task.abort();
                // Over, or aborted: either way it is gone.
                let _ = task.await;
            }
            self.calls.all_functions_ended().await;
        };
        let latest = self.latest_end.map(|moment| moment + EXIT_MARGIN / 2);
        let by = latest.into_iter().chain([Instant::now() + FUNCTION_END_TIMEOUT]).min();
        tokio::select! {
            () = gone => 0,
            () = sleep_until(by.map(Instant::into_std)) => self.calls.running_functions().max(1),
        }
    }

    fn ask_idle_predicate(&self) {
        let Some(predicate) = self.runner.idle_predicate.clone() else { return };
        let events = self.events.clone();
        tokio::spawn(async move {
            let asked = tokio::task::spawn_blocking(move || predicate());
            let answer = tokio::time::timeout(PREDICATE_TIMEOUT, asked).await;
            // One that panics or hangs does not agree.
            let may_go = matches!(answer, Ok(Ok(true)));
            let _ = events.send(Event::PredicateSays(may_go));
        });
    }

    fn send_control(&self, message: &RunnerToParent) {
        if let Some(link) = &self.link {
            send_control(link, message);
        }
    }
}

fn send_control(link: &Link, message: &RunnerToParent) {
    match message.encode() {
        Ok(body) => {
            // A link that is over needs no telling.
            let _ = link.control(Tag::Control.into(), body.into());
        }
        Err(error) => tracing::error!(%error, "a message to the parent can't be written"),
    }
}

/// Passes on what the app logs. It takes no record that the link has no room for: those wait in the
/// log's own channel, which counts what it drops.
async fn forward_logs(link: Link, mut logs: mpsc::Receiver<LogRecord>) {
    while link.control_room().await.is_ok()
        && let Some(record) = logs.recv().await
    {
        send_control(&link, &RunnerToParent::Log(record));
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
