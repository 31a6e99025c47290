//! The driver of a pool: feeds the state machine, carries out its actions, tells it the time.
//!
//! The state is behind a lock that is held for one event and never over an await, so that a call
//! that finds a free slot takes it without a task switch. All decisions are the state's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use flame_link::Link;
use flame_runner_shim::log_writer;
use flame_wire::ids::{CallId, RunnerRef};
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::task::JoinHandle;

use super::burst::Burst;
use super::config::Config;
use super::events::{self, PoolEvent};
use super::lease::Lease;
use super::state::{
    Action, Event, LeaseId, LimitsChange, Note, PoolState, Refusal, RunnerId, WaiterId,
};
use crate::app::reached;
use crate::backend::{Backend, BootFailure, Instances};
use crate::error::PoolError;
use crate::listener::Listener;
use crate::runner::{self, Command};

mod checkout;

pub(crate) use checkout::Wanted;

pub(crate) type Failure = Arc<BootFailure>;
pub(crate) type Answer = Result<Lease, Refusal<Failure>>;

/// What every handle of a pool shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) instances: Arc<dyn Instances>,
    pub(crate) listener: Listener,
    pub(crate) address: String,
    /// Where the pool's tasks run, also when a handle is used, or dropped, elsewhere.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Takes sockets; ends with the pool, and its burst backend.
    accepting: Arc<AbortOnDrop>,
    /// A second backend, for what this one has no slot for yet.
    pub(crate) burst: OnceLock<Burst>,
    /// Whether this is one.
    is_burst: bool,
    core: Mutex<Core>,
    /// The timer's task looks again.
    rearm: Notify,
    /// Nothing is left of a runner.
    gone: Notify,
    pub(crate) events: broadcast::Sender<PoolEvent>,
    pub(crate) status: watch::Sender<Status>,
    me: Weak<Shared>,
}

/// What `ready()` and `drain()` wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) ready: bool,
    /// Nothing boots before this process has reached `App::run`.
    pub(crate) barred: bool,
    pub(crate) drained: bool,
}

/// A backend that has been started.
pub(crate) struct Booter {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) instances: Arc<dyn Instances>,
    /// Why its boots would all be in vain, until this process has reached `App::run`.
    pub(crate) barred: Option<BootFailure>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Core {
    state: PoolState<Failure>,
    runners: HashMap<RunnerId, Entry>,
    waiters: HashMap<WaiterId, oneshot::Sender<Answer>>,
    /// The waiters that there have been.
    asked: u64,
    /// For when the timer's task is asleep.
    armed: Option<Instant>,
    /// Calls on the burst backend.
    elsewhere: u64,
}

/// What the driver keeps of a runner.
struct Entry {
    name: RunnerRef,
    command: watch::Sender<Command>,
    up: Option<Up>,
}

/// A runner that is up.
#[derive(Clone)]
pub(crate) struct Up {
    pub(crate) link: Link,
    pub(crate) instance: String,
    pub(crate) pid: Option<u32>,
    /// Until when its platform lets it work.
    pub(crate) expires: Option<Instant>,
}

/// Actions that must wait until the lock is released.
#[derive(Default)]
struct Effects {
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    boots: Vec<(RunnerId, RunnerRef, watch::Receiver<Command>)>,
    /// Told already, in their order; what is left is the log.
    events: Vec<PoolEvent>,
    /// Answer to the waiter that is just checking out.
    own: Option<Answer>,
    rearm: bool,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        backend: Booter,
        listener: Listener,
        address: String,
        accepting: JoinHandle<()>,
    ) -> Arc<Self> {
        let events = broadcast::Sender::new(config.event_buffer);
        let accepting = Arc::new(AbortOnDrop(accepting));
        Self::make(config, backend, listener, address, accepting, events, false)
    }

    /// The burst backend of this pool: a pool of its own, behind the same listener.
    pub(crate) fn new_burst(&self, config: Config, backend: Booter) -> Arc<Self> {
        let (listener, address) = (self.listener.clone(), self.address.clone());
        let (accepting, events) = (self.accepting.clone(), self.events.clone());
        Self::make(config, backend, listener, address, accepting, events, true)
    }

    fn make(
        config: Config,
        Booter { backend, instances, barred }: Booter,
        listener: Listener,
        address: String,
        accepting: Arc<AbortOnDrop>,
        events: broadcast::Sender<PoolEvent>,
        is_burst: bool,
    ) -> Arc<Self> {
        let is_barred = barred.is_some();
        let status = Status { barred: is_barred, ..Status::default() };
        let barred = barred.map(Arc::new);
        let state = PoolState::new(now(), config.limits.clone(), rand::random(), barred);
        let shared = Arc::new_cyclic(|me| Self {
            config,
            backend,
            instances,
            listener,
            address,
            runtime: tokio::runtime::Handle::current(),
            is_burst,
            accepting,
            burst: OnceLock::new(),
            core: Mutex::new(Core {
                state,
                runners: HashMap::new(),
                waiters: HashMap::new(),
                asked: 0,
                armed: None,
                elsewhere: 0,
            }),
            rearm: Notify::new(),
            gone: Notify::new(),
            events,
            status: watch::Sender::new(status),
            me: me.clone(),
        });
        if is_barred {
            let pool = shared.me.clone();
            reached::then(move || {
                if let Some(pool) = pool.upgrade() {
                    pool.unbar();
                }
            });
        }
        shared
    }

    /// This, and the burst backend.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.burst.get().map(|burst| burst.pool.as_ref()))
    }

    /// This process has reached `App::run`.
    fn unbar(&self) {
        self.status.send_modify(|status| status.barred = false);
        self.handle(Event::Unbar);
    }

    /// Boots what the pool starts with.
    pub(crate) fn start(&self) {
        self.step(|_| {});
    }

    /// Something has happened.
    pub(crate) fn handle(&self, event: Event<Failure>) {
        self.step(|core| core.state.handle(now(), event));
    }

    /// Changes limits, if they can be so together.
    pub(crate) fn resize(&self, change: LimitsChange) -> Result<(), PoolError> {
        let mut wrong = Vec::new();
        self.step(|core| {
            wrong = core.state.limits().changed(&change).wrong();
            if wrong.is_empty() {
                core.state.handle(now(), Event::Resize { change });
            }
        });
        PoolError::of_options(wrong)
    }

    /// A runner is up: known to the state only together with its link.
    pub(crate) fn runner_up(&self, runner: RunnerId, up: Up) {
        self.step(|core| {
            let expires = up.expires;
            if let Some(entry) = core.runners.get_mut(&runner) {
                entry.up = Some(up);
            }
            core.state.handle(now(), Event::RunnerUp { runner, expires });
        });
    }

    /// A runner's task is over: nothing is left of it.
    pub(crate) fn runner_over(&self, runner: RunnerId) {
        let entry = self.lock().runners.remove(&runner);
        if let Some(entry) = entry {
            self.listener.admission().forget(entry.name);
        }
        self.gone.notify_waiters();
        // The last one of a drained pool: its time is over, too.
        self.rearm.notify_one();
    }

    /// Begins to drain this and the burst backend, or hurries: what is under way has the window to
    /// end.
    pub(crate) fn begin_drain(&self, window: std::time::Duration) {
        for pool in self.all() {
            pool.handle(Event::Drain);
            pool.end_after(window);
        }
    }

    /// Waits until nothing is left of this and of the burst backend.
    pub(crate) async fn drained(&self) {
        for pool in self.all() {
            let mut status = pool.status.subscribe();
            let _ = status.wait_for(|status| status.drained).await;
            pool.emptied().await;
        }
    }

    /// Gives what is under way a window to end, and ends it then. Nothing is left of this once the
    /// runners have gone: a window may be hours long.
    fn end_after(&self, window: std::time::Duration) {
        let Some(me) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            tokio::select! {
                () = me.emptied() => {}
                () = tokio::time::sleep(window) => {
                    let core = me.lock();
                    core.runners.keys().for_each(|runner| core.command(*runner, Command::Hurry));
                }
            }
        });
    }

    /// Waits until nothing is left of any runner.
    pub(crate) async fn emptied(&self) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if self.lock().runners.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&PoolState<Failure>) -> R) -> R {
        look(&self.lock().state)
    }

    /// The name of a runner, and more if it is up.
    pub(crate) fn runner(&self, id: RunnerId) -> Option<(RunnerRef, Option<Up>)> {
        self.lock().runners.get(&id).map(|entry| (entry.name, entry.up.clone()))
    }

    /// The call that a runner serves, if it is just one.
    pub(crate) fn only_call_on(&self, name: RunnerRef) -> Option<CallId> {
        let on =
            |pool: &Self| pool.lock().runners.values().find(|entry| entry.name == name)?.up.clone();
        self.all().find_map(on)?.link.only_stream().map(|stream| CallId(stream.0))
    }

    /// The number of calls that the burst backend serves changes.
    pub(crate) fn count_elsewhere(&self, change: impl FnOnce(u64) -> u64) {
        self.step(|core| {
            core.elsewhere = change(core.elsewhere);
            core.state.handle(now(), Event::Elsewhere { calls: core.elsewhere });
        });
    }

    fn step(&self, change: impl FnOnce(&mut Core)) {
        let effects = {
            let mut core = self.lock();
            change(&mut core);
            core.effects(self, None)
        };
        self.carry_out(effects);
    }

    fn carry_out(&self, effects: Effects) {
        for (waiter, answer) in effects.answers {
            // A waiter that has gone drops the answer, and with it the lease.
            let _ = waiter.send(answer);
        }
        for (id, name, commands) in effects.boots {
            if let Some(me) = self.me.upgrade() {
                self.runtime.spawn(runner::live(me, id, name, commands));
            }
        }
        for event in effects.events {
            self.log(&event);
        }
        if effects.rearm {
            self.rearm.notify_one();
        }
    }

    /// Tells those who listen; none is no error.
    pub(crate) fn tell(&self, event: PoolEvent) {
        self.log(&event);
        let _ = self.events.send(event);
    }

    fn log(&self, event: &PoolEvent) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (pool, event) = (self.config.name.clone(), event.clone());
            log_writer::event(move || tracing::debug!(pool, ?event, "pool event"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the state the time, until the pool has drained. Should the runtime end first, so does the
/// pool: nobody waits for what nothing drives any more.
pub(crate) async fn keep_time(shared: Arc<Shared>) {
    let _end = EndOnDrop(&shared);
    loop {
        let due = {
            let mut core = shared.lock();
            if core.state.is_drained() && core.runners.is_empty() {
                return;
            }
            core.armed = core.state.poll_timeout();
            core.armed
        };
        let rearmed = shared.rearm.notified();
        match due {
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {
                    shared.step(|core| core.state.handle_timeout(now()));
                }
                () = rearmed => {}
            },
            None => rearmed.await,
        }
    }
}

struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.handle(Event::Drain);
    }
}

impl Core {
    /// Takes the state's actions; what needs no lock is left for later.
    fn effects(&mut self, shared: &Shared, own: Option<WaiterId>) -> Effects {
        let mut effects = Effects::default();
        while let Some(action) = self.state.poll_action() {
            match action {
                Action::Grant { waiter, runner, lease } => {
                    let answer = self.lease(shared, runner, lease);
                    self.answer(&mut effects, own, waiter, answer);
                }
                Action::Refuse { waiter, error } => {
                    self.answer(&mut effects, own, waiter, Err(error));
                }
                Action::Boot { runner } => self.boot(&mut effects, runner),
                Action::Stop { runner } => self.command(runner, Command::Stop),
                Action::DrainRunner { runner } => self.command(runner, Command::Drain),
                Action::StayUp { runner, again_in } => self.stay(runner, again_in),
                Action::Note(note) => self.note(shared, &mut effects, note),
            }
        }
        let due = self.state.poll_timeout();
        // A later time needs no waking: the task looks again when the earlier one is over. That of a
        // drained pool ends.
        effects.rearm = due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed))
            || self.state.is_drained();
        effects
    }

    fn lease(&self, shared: &Shared, runner: RunnerId, lease: LeaseId) -> Answer {
        let entry = self.runners.get(&runner);
        let up = entry.and_then(|entry| Some((entry.name, entry.up.clone()?)));
        match (up, shared.me.upgrade()) {
            (Some((name, up)), Some(pool)) => Ok(Lease::new(pool, lease, name, up.link)),
            // The state leases only runners that were reported up, link and all.
            _ => Err(Refusal::Draining),
        }
    }

    fn answer(
        &mut self,
        effects: &mut Effects,
        own: Option<WaiterId>,
        waiter: WaiterId,
        answer: Answer,
    ) {
        if own == Some(waiter) {
            effects.own = Some(answer);
        } else if let Some(sender) = self.waiters.remove(&waiter) {
            effects.answers.push((sender, answer));
        } else {
            // It has gone; a lease is checked in by its drop, which takes the lock: later.
            let (nobody, _) = oneshot::channel();
            effects.answers.push((nobody, answer));
        }
    }

    fn boot(&mut self, effects: &mut Effects, runner: RunnerId) {
        // Of no other runner, in no other process: see `flame_wire::entropy`.
        let name = RunnerRef::generate().unwrap_or_else(|_| RunnerRef::from_bytes(rand::random()));
        let (command, commands) = watch::channel(Command::Serve);
        self.runners.insert(runner, Entry { name, command, up: None });
        effects.boots.push((runner, name, commands));
    }

    fn command(&self, runner: RunnerId, command: Command) {
        if let Some(entry) = self.runners.get(&runner) {
            entry.command.send_if_modified(|now| now.advance(command));
        }
    }

    fn stay(&self, runner: RunnerId, again_in: Option<std::time::Duration>) {
        if let Some(Entry { up: Some(up), .. }) = self.runners.get(&runner) {
            runner::say_stay_up(&up.link, again_in);
        }
    }

    fn note(&self, shared: &Shared, effects: &mut Effects, note: Note<Failure>) {
        if matches!(note, Note::Ready | Note::Drained) {
            shared.status.send_modify(|status| {
                status.ready |= matches!(note, Note::Ready);
                status.drained |= matches!(note, Note::Drained);
            });
        }
        // The pool has drained, and is ready, as a whole.
        if shared.is_burst && matches!(note, Note::Ready | Note::Drained) {
            return;
        }
        let name = |runner| self.runners.get(&runner).map(|entry| entry.name);
        if let Some(event) = events::of(note, name) {
            // With the lock, so that nobody is told of a call before the boot that it waited for.
            let _ = shared.events.send(event.clone());
            effects.events.push(event);
        }
    }
}

/// By the runtime's clock, which a test can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
