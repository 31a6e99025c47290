//! The terminator's driver: reports events and timers to it, and carries out its actions. It
//! decides nothing.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{Driver, Io, Link, SocketSource};
use flame_wire::message::{EndReason, LogMessage, RunnerToParent, Tag};
use flame_wire::mux::Side;
use flame_wire::time::millis;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::dialling::{ConnectError, ConnectOutcome, Dialler};
use super::serving::{CallHandler, Calls};
use super::terminator::{Action, Event, Terminator};
use super::{Ended, Runner, link_config};
use crate::code_sync::SyncedExecutable;

#[cfg(test)]
mod tests;

/// The time that the idle predicate has for its answer. The runner stays if there is no answer.
const PREDICATE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for sending channel messages, answers and the goodbye; or the rest of the shutdown
/// window, if that is longer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of that time that is reserved for telling receivers which messages are lost; but at
/// most half of it.
const LOSS_NOTICE_TIME: Duration = Duration::from_secs(1);
/// The time that is kept free for the exit before the host's deadline.
pub(super) const EXIT_MARGIN: Duration = Duration::from_secs(1);
/// The time that functions have to end when their calls are over: before the goodbye, and once more
/// if the process continues after this runner.
const FUNCTION_END_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct RunnerDriver {
    runner: Runner,
    calls: Arc<Calls>,
    events: UnboundedSender<Event>,
    inbox: UnboundedReceiver<Event>,
    terminator: Terminator,
    /// The executable that this process becomes next.
    synced: Option<SyncedExecutable>,
    /// When the runner has to be gone: shortly before its host ends it.
    latest_end: Option<Instant>,
    link: Option<Link>,
    /// The link's task.
    link_task: Option<JoinHandle<()>>,
    /// Sends the log records.
    log_task: Option<JoinHandle<()>>,
}

impl RunnerDriver {
    pub(super) fn new(
        runner: Runner,
        calls: Arc<Calls>,
        (events, inbox): (UnboundedSender<Event>, UnboundedReceiver<Event>),
        terminator: Terminator,
        latest_end: Option<Instant>,
    ) -> Self {
        Self {
            runner,
            calls,
            events,
            inbox,
            terminator,
            synced: None,
            latest_end,
            link: None,
            link_task: None,
            log_task: None,
        }
    }

    pub(super) async fn run(mut self, dialler: &Dialler) -> Ended {
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
                    // Events that came before the signal matter, above all whether the hello was
                    // sent.
                    self.handle_pending_events();
                    self.expect_kill();
                    now(Some(Event::Signal(signal)))
                }
                outcome = &mut first, if self.link.is_none() => match outcome {
                    Ok(ConnectOutcome::Connected(io)) => {
                        self.start_link(io, dialler.clone());
                        continue;
                    }
                    Ok(ConnectOutcome::CodeSynced(synced)) => {
                        // A runner that was told to end must not become another program, which
                        // would not know of that.
                        self.handle_pending_events();
                        if let Ok(signal) = self.runner.signals.try_recv() {
                            self.expect_kill();
                            self.terminator.handle(Instant::now().into_std(), Event::Signal(signal));
                        }
                        self.synced = Some(synced);
                        continue;
                    }
                    Err(ConnectError::Rejected(rejection)) => return Ended::Rejected(rejection),
                    Err(ConnectError::NotSynced(error)) => return Ended::NotSynced(error),
                },
                () = sleep_until(due) => now(None),
            };
            match event {
                Some(event) => self.terminator.handle(at, event),
                None => self.terminator.handle_timeout(at),
            }
        }
    }

    fn handle_pending_events(&mut self) {
        while let Ok(event) = self.inbox.try_recv() {
            self.terminator.handle(Instant::now().into_std(), event);
        }
    }

    /// After a signal, the runner has to be gone before the platform's kill.
    fn expect_kill(&mut self) {
        let kill = self.runner.host.kills_after();
        let before_kill = kill.and_then(|kill| {
            Instant::now().checked_add(kill.saturating_sub(EXIT_MARGIN.min(kill / 4)))
        });
        self.latest_end = before_kill.into_iter().chain(self.latest_end).min();
    }

    fn start_link(&mut self, io: Io, dialler: Dialler) {
        let handler =
            CallHandler { calls: self.calls.clone(), addresses: dialler.addresses().clone() };
        let config = link_config(&self.runner.parent.limits);
        let (link, driver) = Driver::new(Side::Runner, config, |_| handler);
        let redial: flame_link::Dial = Box::new(move || {
            let dialler = dialler.clone();
            Box::pin(async move {
                match dialler.connect().await {
                    Ok(ConnectOutcome::Connected(io)) => Ok(io),
                    Err(ConnectError::Rejected(rejection)) => Err(rejection.to_string()),
                    Err(ConnectError::NotSynced(error)) => Err(error.to_string()),
                    // The link and its calls belong to this process, and would end with it.
                    Ok(ConnectOutcome::CodeSynced(_)) => {
                        Err("the parent is of another build now".to_owned())
                    }
                }
            })
        });
        let events = self.events.clone();
        self.link_task = Some(tokio::spawn(async move {
            let end = driver.run(io, SocketSource::Dialled(redial)).await;
            tracing::debug!(%end, "the link to the parent has ended");
            let _ = events.send(Event::LinkClosed);
        }));
        if let Some(logs) = self.runner.logs.take() {
            self.log_task = Some(tokio::spawn(forward_logs(link.clone(), logs)));
        }
        self.link = Some(link);
    }

    async fn execute(&mut self, action: Action) -> Option<Ended> {
        match action {
            Action::AskPredicate => self.ask_idle_predicate(),
            Action::ProposeIdle { idle_for } => self.send_control(&RunnerToParent::Idle {
                idle_ms: millis(idle_for),
                calls_done: self.calls.calls_done(),
            }),
            Action::StopAccepting => self.calls.stop_accepting(),
            Action::AnnounceDraining(reason) => {
                self.send_control(&RunnerToParent::Draining { reason });
            }
            Action::FailRemaining => self.calls.abort_all(),
            Action::SayGoodbye(reason) => self.say_goodbye(reason).await,
            Action::Exit { code, reason } => {
                let calls = self.calls.calls_done();
                return Some(Ended::Done { code, reason, calls, still_running: 0 });
            }
        }
        None
    }

    /// Sends the remaining channel messages and answers, and the goodbye. Gives up when the time is
    /// over, or on a second signal.
    async fn say_goodbye(&mut self, reason: EndReason) {
        let (Some(link), Some(mut link_task)) = (self.link.clone(), self.link_task.take()) else {
            return;
        };
        let now = Instant::now();
        // A drain has one window in all: the time that its calls have used is gone.
        let window = match self.terminator.window_ends() {
            Some(end) => end.saturating_duration_since(now.into_std()),
            None => Duration::from_millis(self.runner.parent.limits.shutdown_ms),
        };
        let end = now.checked_add(window.max(GOODBYE_TIMEOUT));
        let end = end.into_iter().chain(self.latest_end).min();
        let out_of_time = sleep_until(end.map(Instant::into_std));
        let abort_channels_at = end.map(|end| {
            let left = end.saturating_duration_since(now);
            now + left.saturating_sub(LOSS_NOTICE_TIME.min(left / 2))
        });
        let calls = self.calls.clone();
        let goodbye = async {
            // Calls that were just aborted send their failures first, unless they block.
            let _ = tokio::time::timeout(FUNCTION_END_TIMEOUT, calls.all_answered()).await;
            tokio::select! {
                biased;
                () = calls.channel_drain().drain() => {}
                () = sleep_until(abort_channels_at.map(Instant::into_std)) => {
                    calls.channel_drain().abort().await;
                }
            }
            send_control(&link, &RunnerToParent::Goodbye { reason });
            link.close();
            let _ = (&mut link_task).await;
        };
        let signals = &mut self.runner.signals;
        let second_signal = async {
            let received = u8::from(matches!(reason, EndReason::Signal(_)));
            for _ in received..2 {
                if signals.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = goodbye => return,
            () = out_of_time => {}
            () = second_signal => {}
        }
        self.link_task = Some(link_task);
    }

    /// Ends this runner's socket, tasks and calls, because the process continues after it. Returns
    /// the number of functions that do not end: plain functions, and async functions that block,
    /// which may keep the link's task from ending as well.
    async fn clean_up(&mut self) -> usize {
        let tasks = [self.link_task.take(), self.log_task.take()];
        let gone = async {
            for task in tasks.into_iter().flatten() {
                task.abort();
                // Ready when the task has ended, aborted or not.
                let _ = task.await;
            }
            self.calls.all_functions_ended().await;
        };
        let latest = self.latest_end.map(|end| end + EXIT_MARGIN / 2);
        let end = latest.into_iter().chain([Instant::now() + FUNCTION_END_TIMEOUT]).min();
        tokio::select! {
            () = gone => 0,
            () = sleep_until(end.map(Instant::into_std)) => self.calls.running_functions().max(1),
        }
    }

    fn ask_idle_predicate(&self) {
        let Some(predicate) = self.runner.idle_predicate.clone() else { return };
        let events = self.events.clone();
        tokio::spawn(async move {
            let asked = tokio::task::spawn_blocking(move || predicate());
            let answer = tokio::time::timeout(PREDICATE_TIMEOUT, asked).await;
            // A predicate that panics or hangs does not agree.
            let may_end = matches!(answer, Ok(Ok(true)));
            let _ = events.send(Event::PredicateSays(may_end));
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
            // If the link has ended, the parent can't receive the message.
            let _ = link.send_control(Tag::Control.into(), body.into());
        }
        Err(error) => tracing::error!(%error, "a message to the parent can't be encoded"),
    }
}

/// Sends the app's log records. A record that the link has no room for stays in the log's own
/// channel, which counts the records that it drops.
async fn forward_logs(link: Link, mut logs: mpsc::Receiver<LogMessage>) {
    while link.control_writable().await.is_ok()
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
