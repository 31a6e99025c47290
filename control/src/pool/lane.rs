//! One backend's side of a pool: drives its [`PoolState`], and keeps its runners and waiters.
//!
//! ```text
//!   events ──▶ lock ──▶ PoolState ──actions──▶ effects (queued in order) ──▶ release ──▶ carried out
//! ```
//!
//! The lock is held for one event, and never over an await, so a call that finds a free slot takes
//! it without a task switch. The state machine makes all decisions. Nothing is woken, sent, booted
//! or logged while the lock is held: see [`effects`].

use std::collections::{HashMap, VecDeque};
use std::ops::Add;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use flame_link::Traffic;
use flame_wire::ids::RunnerRef;
use flame_wire::sync::Mutex;
use flame_wire::trace::TraceContext;
use tokio::sync::{Notify, watch};

use super::events::EventSender;
use super::shared::PoolShared;
use super::state::{Event, LeaseId, LimitsChange, PoolState, RunnerId, WaiterId};
use crate::backend::{Backend, BootFailure, Instances};
use crate::error::PoolError;
use crate::metrics::LaneRecorder;

mod checkout;
mod command;
mod config;
mod connection;
mod effects;
mod lease;
mod timer;

pub(crate) use checkout::{Checkout, CheckoutRequest};
pub(crate) use command::RunnerCommand;
pub(crate) use config::LaneConfig;
pub(crate) use connection::{RunnerConnection, send_addresses, send_drain};
pub(crate) use lease::{CheckoutError, LaneLease};

use checkout::WaitingCaller;
use effects::Effect;

/// One backend's side of a pool.
pub(crate) struct Lane {
    pub(crate) config: LaneConfig,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) instances: Arc<dyn Instances>,
    pub(crate) shared: Arc<PoolShared>,
    pub(crate) recorder: Arc<LaneRecorder>,
    role: LaneRole,
    start_supervisor: fn(RunnerToBoot),
    locked: Mutex<LaneState>,
    status: watch::Sender<LaneStatus>,
    /// Tells the timer's task to read the state machine's next timeout again.
    timer_changed: Notify,
    runner_removed: Notify,
    me: Weak<Lane>,
}

/// Which of a pool's backends a lane is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneRole {
    /// The lane that calls use if they can. The pool is ready, and has drained, when this lane says
    /// so.
    Primary,
    /// The lane for calls that find no free slot on the primary one.
    Burst,
}

/// The parts from which a lane is made.
pub(crate) struct LaneSetup {
    pub(crate) role: LaneRole,
    pub(crate) config: LaneConfig,
    pub(crate) backend: Arc<dyn Backend>,
    /// Of the backend, which has been started.
    pub(crate) instances: Arc<dyn Instances>,
    pub(crate) recorder: Arc<LaneRecorder>,
    /// Why every boot would fail, until [`Lane::unblock_boots`].
    pub(crate) boots_blocked: Option<BootFailure>,
    /// Boots a runner and takes care of it until it is gone, in a task of its own.
    pub(crate) start_supervisor: fn(RunnerToBoot),
}

/// The conditions for which [`Pool::ready`](crate::Pool::ready) and
/// [`Pool::drain`](crate::Pool::drain) wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LaneStatus {
    pub(crate) ready: bool,
    /// Nothing boots, because this process has not reached `App::run`.
    pub(crate) boots_blocked: bool,
    pub(crate) drained: bool,
}

/// A runner that the lane has decided to boot.
pub(crate) struct RunnerToBoot {
    pub(crate) lane: Arc<Lane>,
    pub(crate) id: RunnerId,
    pub(crate) runner: RunnerRef,
    pub(crate) commands: watch::Receiver<RunnerCommand>,
    /// A call that waits for the boot; `None` if no call does.
    pub(crate) waiting_call: Option<TraceContext>,
}

/// The state that the lane's lock protects.
struct LaneState {
    pool: PoolState<Arc<BootFailure>>,
    runners: HashMap<RunnerId, RunnerEntry>,
    waiters: HashMap<WaiterId, WaitingCaller>,
    next_waiter: u64,
    /// When the timer's task wakes, if it is asleep.
    timer_due: Option<Instant>,
    /// Calls on the burst lane.
    burst_calls: u64,
    /// The trace of the boot that has just ended, while the calls that waited for it get their
    /// slots.
    ended_boot: Option<TraceContext>,
    /// Effects to carry out, in this order.
    effects: VecDeque<Effect>,
    /// Whether a thread is carrying out effects.
    delivering: bool,
}

/// The lane's record of one runner.
struct RunnerEntry {
    runner: RunnerRef,
    commands: watch::Sender<RunnerCommand>,
    /// Once the runner is up.
    connection: Option<RunnerConnection>,
}

impl RunnerEntry {
    /// The bytes of its link so far.
    fn traffic(&self) -> Traffic {
        self.connection.as_ref().map(|connection| connection.link.traffic()).unwrap_or_default()
    }
}

impl Lane {
    pub(crate) fn new(shared: Arc<PoolShared>, setup: LaneSetup) -> Arc<Self> {
        let LaneSetup {
            role,
            config,
            backend,
            instances,
            recorder,
            boots_blocked,
            start_supervisor,
        } = setup;
        let status = LaneStatus { boots_blocked: boots_blocked.is_some(), ..LaneStatus::default() };
        let boots_blocked = boots_blocked.map(Arc::new);
        let pool = PoolState::new(now(), config.limits.clone(), rand::random(), boots_blocked);
        Arc::new_cyclic(|me| Self {
            config,
            backend,
            instances,
            shared,
            recorder,
            role,
            start_supervisor,
            locked: Mutex::new(LaneState {
                pool,
                runners: HashMap::new(),
                waiters: HashMap::new(),
                next_waiter: 0,
                timer_due: None,
                burst_calls: 0,
                ended_boot: None,
                effects: VecDeque::new(),
                delivering: false,
            }),
            status: watch::Sender::new(status),
            timer_changed: Notify::new(),
            runner_removed: Notify::new(),
            me: me.clone(),
        })
    }

    /// Starts the lane's timer, and boots the runners that the pool starts with. The returned
    /// future ends when the lane has drained.
    pub(crate) fn run(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        self.step(|_| {});
        timer::run(self)
    }

    /// Handles an event.
    pub(crate) fn handle(&self, event: Event<Arc<BootFailure>>) {
        self.step(|locked| locked.pool.handle(now(), event));
    }

    /// Handles an event about a runner, if the lane has that runner. Returns whether it has.
    pub(crate) fn handle_for(
        &self,
        runner: RunnerRef,
        event: impl FnOnce(RunnerId) -> Event<Arc<BootFailure>>,
    ) -> bool {
        self.step(|locked| {
            let found = locked.runners.iter().find(|(_, entry)| entry.runner == runner);
            let Some((&id, _)) = found else { return false };
            locked.pool.handle(now(), event(id));
            true
        })
    }

    /// Lets boots begin: this process has reached `App::run`.
    pub(crate) fn unblock_boots(&self) {
        self.status.send_modify(|status| status.boots_blocked = false);
        self.handle(Event::UnblockBoots);
    }

    /// Changes limits, if they are valid together.
    pub(crate) fn resize(&self, change: LimitsChange) -> Result<(), PoolError> {
        let wrong = self.step(|locked| {
            let wrong = locked.pool.limits().changed(&change).wrong();
            if wrong.is_empty() {
                locked.pool.handle(now(), Event::Resize { change });
            }
            wrong
        });
        PoolError::of_options(wrong)
    }

    /// A runner is up. The state machine learns it together with the runner's connection, so that
    /// each runner that it leases has one. `boot` is the trace of its boot, if there is one.
    pub(crate) fn runner_up(
        &self,
        id: RunnerId,
        connection: RunnerConnection,
        boot: Option<TraceContext>,
    ) {
        self.step(|locked| {
            let expires = connection.expires;
            if let Some(entry) = locked.runners.get_mut(&id) {
                entry.connection = Some(connection);
            }
            locked.pool.handle(now(), Event::RunnerUp { runner: id, expires });
            locked.ended_boot = boot;
            locked.queue_effects(self);
            locked.ended_boot = None;
        });
    }

    /// Nothing is left of a runner.
    pub(crate) fn runner_gone(&self, id: RunnerId) {
        let entry = self.step(|locked| {
            locked.pool.handle(now(), Event::RunnerGone { runner: id });
            // Queued before the entry is removed, because the resulting events contain its
            // `RunnerRef`.
            locked.queue_effects(self);
            let entry = locked.runners.remove(&id);
            self.recorder.link_ended(entry.as_ref().map(RunnerEntry::traffic).unwrap_or_default());
            entry
        });
        self.recorder.cost.lock().ended(id, now());
        if let Some(entry) = entry {
            self.shared.forget_runner(entry.runner);
        }
        self.runner_removed.notify_waiters();
        // The timer's task ends when a drained lane has no runner left.
        self.timer_changed.notify_one();
    }

    /// Changes the number of calls that the burst lane serves for this one.
    pub(crate) fn change_burst_calls(&self, change: impl FnOnce(u64) -> u64) {
        self.step(|locked| {
            locked.burst_calls = change(locked.burst_calls);
            locked.pool.handle(now(), Event::BurstCalls { calls: locked.burst_calls });
        });
    }

    /// Begins to drain. The calls under way may go on for `window`, and are then cancelled. If this
    /// is called again with a shorter window, the shorter one applies.
    pub(crate) fn begin_drain(&self, window: Duration) {
        self.handle(Event::DrainPool);
        let Some(me) = self.me.upgrade() else { return };
        self.shared.runtime.spawn(async move {
            // A window may be hours long, so this task ends with the runners.
            tokio::select! {
                () = me.without_runners() => {}
                () = tokio::time::sleep(window) => me.hurry(),
            }
        });
    }

    fn hurry(&self) {
        self.step(|locked| {
            let ids: Vec<_> = locked.runners.keys().copied().collect();
            ids.into_iter().for_each(|id| locked.command(id, RunnerCommand::Hurry));
        });
    }

    /// Waits until the lane has drained, and nothing is left of any runner.
    pub(crate) async fn drained(&self) {
        let mut status = self.status.subscribe();
        // The sender lives as long as `self`.
        let _ = status.wait_for(|status| status.drained).await;
        self.without_runners().await;
    }

    /// Waits until nothing is left of any runner.
    async fn without_runners(&self) {
        loop {
            let removed = self.runner_removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            if self.locked.lock().runners.is_empty() {
                return;
            }
            removed.await;
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<LaneStatus> {
        self.status.subscribe()
    }

    /// Reads the state machine.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&PoolState<Arc<BootFailure>>) -> R) -> R {
        read(&self.locked.lock().pool)
    }

    /// The bytes of all links so far, including those of runners that are gone.
    pub(crate) fn traffic(&self) -> Traffic {
        // A runner that is gone is moved from one sum to the other under the lock.
        let locked = self.locked.lock();
        let open = locked.runners.values().map(RunnerEntry::traffic);
        open.fold(self.recorder.past_traffic(), Traffic::add)
    }

    /// A runner, and its connection once it is up.
    pub(crate) fn runner(&self, id: RunnerId) -> Option<(RunnerRef, Option<RunnerConnection>)> {
        let locked = self.locked.lock();
        locked.runners.get(&id).map(|entry| (entry.runner, entry.connection.clone()))
    }

    /// The connection of a runner that is up.
    pub(crate) fn connection(&self, runner: RunnerRef) -> Option<RunnerConnection> {
        let locked = self.locked.lock();
        locked.runners.values().find(|entry| entry.runner == runner)?.connection.clone()
    }

    pub(crate) fn events(&self) -> &EventSender {
        &self.shared.events
    }
}

impl lease::LeaseOwner for Lane {
    fn check_in(&self, lease: LeaseId) {
        self.handle(Event::CheckIn { lease });
    }
}

/// The time of the runtime's clock, which a test can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
