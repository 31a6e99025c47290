//! One runner, seen from its parent: booted, let in, served, seen through to its end.
//!
//! ```text
//! remote_boot ──▶ wait for its hello ──▶ RunnerUp ──▶ link over, instance dead, or told to end
//!     │                 │                                        │
//!     └── failed        └── died, refused, boot_timeout          ├── it said goodbye: RunnerGone
//!           └───────▶ BootFailed ◀──┘                            └── else: RunnerLost
//! in every case: the instance is stopped, unless it is seen dead
//! ```

use std::sync::Arc;
use std::time::Duration;

use flame_link::{Driver, Handler, Io, Link, LinkEnd, Sockets, Stream};
use flame_runner_shim::lines;
use flame_runner_shim::runner::link_config;
use flame_wire::hello::Hello;
use flame_wire::ids::RunnerRef;
use flame_wire::message::{ParentToRunner, RunnerToParent, Tag};
use flame_wire::mux::{Message, Side};
use flame_wire::parent::FlameParent;
use flame_wire::token::Token;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared as SharedFuture};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument;

use crate::admission::Expected;
use crate::backend::{BootFailure, BootFailureKind, BootSpec, Death, Instance, InstanceEvent};
use crate::listener::{Away, Door};
use crate::log;
use crate::pool::driver::{Shared, Up};
use crate::pool::events::PoolEvent;
use crate::pool::state::{Event, RunnerId};

/// Beyond the shutdown window: how long a drained runner may take to be gone.
const GONE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a backend may take, beyond the boot timeout, to say what became of its order.
const LATE_BOOT: Duration = Duration::from_secs(60);
/// How long what a runner sent or printed before its end may take to be read.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often a stop is tried, and how long each may take.
const STOP_TRIES: u32 = 5;
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What the pool wants of a runner. It only advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Command {
    Serve,
    /// End when what is under way has.
    Drain,
    /// End what is under way, too.
    Hurry,
    Stop,
}

impl Command {
    /// Takes the stronger of the two; whether that changed anything.
    pub(crate) fn advance(&mut self, to: Command) -> bool {
        let changed = to > *self;
        *self = to.max(*self);
        changed
    }
}

type Dead = SharedFuture<BoxFuture<'static, Death>>;
type Arrival = Result<(Io, Hello), Away>;

/// Lives a runner's life, whatever happens; ends when nothing of it is left.
pub(crate) async fn live(
    pool: Arc<Shared>,
    id: RunnerId,
    name: RunnerRef,
    mut commands: watch::Receiver<Command>,
) {
    let mut over = Over { pool: &pool, id, instance: None, done: false };
    live_on(&pool, id, name, &mut commands, &mut over).await;
    over.done = true;
}

async fn live_on(
    pool: &Arc<Shared>,
    id: RunnerId,
    name: RunnerRef,
    commands: &mut watch::Receiver<Command>,
    over: &mut Over<'_>,
) {
    let (first, mut arrivals) = mpsc::channel(1);
    let (again, sockets) = mpsc::channel(1);
    let by = Instant::now() + pool.config.boot_timeout;
    let failed = |failure| Event::BootFailed { runner: id, failure: Arc::new(failure) };
    let resume = match Token::generate() {
        Ok(resume) => resume,
        Err(error) => return pool.handle(failed(BootFailure::new(error.to_string()))),
    };
    let door = Door { resume, first, again };
    let boot = boot(pool, name, door, by);
    let boot = boot.instrument(tracing::debug_span!("flame.boot", runner = %name));
    tokio::pin!(boot);
    let (instance, parent) = match timeout_at(by, &mut boot).await {
        Ok(Ok(booted)) => booted,
        Ok(Err(failure)) => return pool.handle(failed(failure)),
        Err(_) => {
            pool.handle(failed(too_slow(pool)));
            // What the backend makes even now is not forgotten.
            return see_off(pool, name, boot, over).await;
        }
    };
    over.instance = Some(instance.clone());
    let dead = pool.instances.watch(&instance).shared();
    let arrived = arrival(pool, name, by, &mut arrivals, dead.clone(), commands)
        .instrument(tracing::debug_span!("flame.connect", runner = %name));
    match arrived.await {
        Ok((io, hello)) => {
            pool.instances.notify(&instance, InstanceEvent::Connected);
            let up = (io, hello, sockets);
            serve(pool, id, name, &instance, &parent, up, dead.clone(), commands).await;
        }
        Err(mut failure) => {
            // One that dials in even now finds nobody behind its door, and ends by itself.
            drop((arrivals, sockets));
            if failure.log_tail.is_empty() {
                failure.log_tail = last_words(pool, &instance, dead.clone()).await;
            }
            pool.handle(failed(failure));
        }
    }
    stop(pool, name, &instance, dead).await;
    over.instance = None;
}

/// Tells the pool that nothing is left of a runner; also where its life is cut short, by a panic or
/// with the runtime, and nobody can wait for the end of its instance.
struct Over<'a> {
    pool: &'a Shared,
    id: RunnerId,
    /// What is not seen dead.
    instance: Option<Instance>,
    done: bool,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let runner = self.id;
        if !self.done {
            if !std::thread::panicking() {
                // The pool's runtime is gone: nothing is to be booted in its place.
                self.pool.handle(Event::Drain);
            }
            self.pool.handle(Event::RunnerLost { runner });
            if let Some(instance) = &self.instance {
                let _ = self.pool.instances.stop(instance).now_or_never();
            }
        }
        self.pool.handle(Event::RunnerGone { runner });
        self.pool.runner_over(runner);
    }
}

fn too_slow(pool: &Shared) -> BootFailure {
    let limit = pool.config.boot_timeout;
    let reason = format!(
        "the backend did not take the order within the boot timeout of {limit:?}: raise \
         `boot_timeout`, or see what keeps the backend"
    );
    BootFailure::of(BootFailureKind::TimedOut, reason)
}

/// Stops what a boot that was given up gives after all.
async fn see_off(
    pool: &Shared,
    name: RunnerRef,
    boot: impl Future<Output = Result<(Instance, FlameParent), BootFailure>>,
    over: &mut Over<'_>,
) {
    match timeout(LATE_BOOT, boot).await {
        Ok(Ok((instance, _))) => {
            over.instance = Some(instance.clone());
            stop(pool, name, &instance, pool.instances.watch(&instance).shared()).await;
            over.instance = None;
        }
        Ok(Err(_)) => {}
        Err(_) => {
            let why = format!("its backend did not say within {LATE_BOOT:?} whether it made one");
            let said = why.clone();
            lines::event(move || {
                tracing::error!(runner = %name, why = said, "an instance may be left over");
            });
            pool.tell(PoolEvent::StopFailed { runner: name, instance: String::new(), why });
        }
    }
}

async fn boot(
    pool: &Shared,
    name: RunnerRef,
    door: Door,
    by: Instant,
) -> Result<(Instance, FlameParent), BootFailure> {
    let token = Token::generate().map_err(|error| BootFailure::new(error.to_string()))?;
    let parent = pool.config.flame_parent(
        name,
        token.clone(),
        pool.address.clone(),
        pool.listener.key().fingerprint(),
        pool.backend.kind(),
    );
    let listener = pool.listener.clone();
    let in_memory = Arc::new(move || {
        let io = listener.connect_in_memory();
        async move { Ok(io) }.boxed()
    });
    let spec = BootSpec::new(parent.clone(), in_memory)
        .map_err(|error| BootFailure::new(error.to_string()))?;
    let expires = by.into_std();
    let expected = Expected::new(token.hash(), door.resume.hash(), expires, door)
        .sync(pool.listener.may_sync(&*pool.backend));
    pool.listener.admission().expect(name, expected);
    let instance = pool.instances.remote_boot(spec).await?;
    Ok((instance, parent))
}

/// Waits until the runner has said hello, or will not.
async fn arrival(
    pool: &Shared,
    name: RunnerRef,
    by: Instant,
    arrivals: &mut mpsc::Receiver<Arrival>,
    dead: Dead,
    commands: &mut watch::Receiver<Command>,
) -> Result<(Io, Hello), BootFailure> {
    let arrived = tokio::select! {
        biased;
        arrived = timeout_at(by, arrivals.recv()) => arrived,
        death = dead => return Err(died_in_boot(death, arrivals)),
        () = until(commands, |command| *command > Command::Serve) => {
            return Err(BootFailure::new("the pool no longer wanted the runner"));
        }
    };
    match arrived {
        Ok(Some(Ok(arrived))) => Ok(arrived),
        Ok(Some(Err(away))) => Err(BootFailure::of(BootFailureKind::Rejected, away.to_string())),
        Ok(None) => Err(BootFailure::new("the pool no longer expected the runner")),
        Err(_) => Err(BootFailure::of(BootFailureKind::TimedOut, never_home(pool, name))),
    }
}

/// Why a runner may not have dialled home.
fn never_home(pool: &Shared, name: RunnerRef) -> String {
    let limit = pool.config.boot_timeout;
    if pool.listener.admission().was_offered_code(name) {
        return format!(
            "the runner dialled home, but had not become this executable (`code_sync`) within the \
             boot timeout of {limit:?}: raise `boot_timeout`, deploy the same build to both, or see \
             what slows its connection or its start"
        );
    }
    let address = &pool.address;
    let advice = pool.backend.connection_advice();
    let way = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
    format!(
        "the runner did not dial home within the boot timeout of {limit:?}: raise `boot_timeout`, \
         see what keeps its `main` from `App::run`, or whether it can reach {address}{way}"
    )
}

fn died_in_boot(death: Death, arrivals: &mut mpsc::Receiver<Arrival>) -> BootFailure {
    let failure = BootFailure::from(death);
    match arrivals.try_recv() {
        Ok(Err(away)) => {
            let kind = BootFailureKind::Rejected;
            BootFailure { kind, reason: away.to_string(), ..failure }
        }
        _ => failure,
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one runner's life, used once")]
async fn serve(
    pool: &Arc<Shared>,
    id: RunnerId,
    name: RunnerRef,
    instance: &Instance,
    parent: &FlameParent,
    (io, hello, sockets): (Io, Hello, mpsc::Receiver<Io>),
    dead: Dead,
    commands: &mut watch::Receiver<Command>,
) {
    let (seen, mut sight) = watch::channel(Seen { goodbye: false, socket: true });
    let ear = Ear { pool: pool.clone(), id, name, seen };
    let (link, driver) = Driver::new(Side::Parent, link_config(parent), |_| ear);
    let mut driver = tokio::spawn(driver.run(io, Sockets::Accepted(sockets)));
    let up = Up {
        link: link.clone(),
        instance: instance.id.clone(),
        pid: hello.pid,
        expires: expires(&hello, parent),
    };
    pool.runner_up(id, up);

    let mut goodbye = sight.clone();
    let mut end_by = None;
    let reason = loop {
        let out_of_time = async {
            match end_by {
                Some(limit) => tokio::time::sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut driver => break None,
            death = dead.clone() => {
                // What it sent before it died is still to be read; then its socket is at its end.
                let _ = timeout(LAST_WORDS, until(&mut sight, |seen| !seen.socket)).await;
                break Some(death.to_string());
            }
            () = out_of_time => break Some("it did not end when it was told to".to_owned()),
            changed = commands.changed() => match *commands.borrow_and_update() {
                _ if changed.is_err() => break Some("its pool is gone".to_owned()),
                Command::Stop => break Some("its pool stopped it".to_owned()),
                Command::Serve => {}
                command => {
                    let hurry = command == Command::Hurry;
                    let window = pool.config.shutdown_timeout;
                    let within = if hurry { Duration::ZERO } else { window };
                    say(&link, &ParentToRunner::Drain { within_ms: millis(within) });
                    end_by = Some(Instant::now() + within + GONE_PATIENCE);
                }
            },
            // Its goodbye is not its end: what its last calls gave may still be on its way.
            () = until(&mut goodbye, |seen| seen.goodbye), if end_by.is_none() => {
                end_by = Some(Instant::now() + pool.config.shutdown_timeout + GONE_PATIENCE);
            }
        }
    };
    if let Some(reason) = reason {
        link.abort(reason);
        let _ = (&mut driver).await;
    }
    if sight.borrow().goodbye {
        pool.instances.notify(instance, InstanceEvent::Exiting);
        let _ = timeout(GONE_PATIENCE, dead).await;
    } else {
        // Told by the link already, unless a panic has ended that.
        pool.handle(Event::RunnerLost { runner: id });
    }
}

/// Stops an instance that did not become a runner, and gives what it printed last, if that is known
/// soon: it may have said why.
async fn last_words(pool: &Shared, instance: &Instance, dead: Dead) -> Vec<String> {
    let words = async {
        // A stop that fails is tried again, and told, by whoever sees the instance off.
        let _ = pool.instances.stop(instance).await;
        dead.await.log_tail
    };
    timeout(LAST_WORDS, words).await.unwrap_or_default()
}

/// Until when calls can run on it: it drains by itself before its platform ends it.
fn expires(hello: &Hello, parent: &FlameParent) -> Option<std::time::Instant> {
    let left = hello.expires_in_ms?.saturating_sub(parent.limits.host_margin_ms);
    // A time beyond what the clock can tell is no limit.
    Instant::now().into_std().checked_add(Duration::from_millis(left))
}

/// Stops an instance, and sees it dead.
async fn stop(pool: &Shared, name: RunnerRef, instance: &Instance, dead: Dead) {
    let mut pause = Duration::from_millis(100);
    let mut why = "it is not seen dead".to_owned();
    for _ in 0..STOP_TRIES {
        if dead.clone().now_or_never().is_some() {
            return;
        }
        match timeout(STOP_PATIENCE, pool.instances.stop(instance)).await {
            Ok(Ok(())) => {
                let limit = Instant::now() + STOP_PATIENCE;
                if timeout_at(limit, dead.clone()).await.is_ok() {
                    return;
                }
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = format!("stopping took longer than {STOP_PATIENCE:?}"),
        }
        sleep(pause).await;
        pause *= 2;
    }
    let (left, said) = (instance.clone(), why.clone());
    lines::event(move || {
        tracing::error!(runner = %name, instance = %left, why = said, "an instance could not be stopped");
    });
    pool.tell(PoolEvent::StopFailed { runner: name, instance: instance.id.clone(), why });
}

/// What the link's task has seen of a runner.
#[derive(Debug, Clone, Copy)]
struct Seen {
    goodbye: bool,
    socket: bool,
}

/// The pool's ear on a runner's link.
struct Ear {
    pool: Arc<Shared>,
    id: RunnerId,
    name: RunnerRef,
    seen: watch::Sender<Seen>,
}

impl Handler for Ear {
    fn opened(&mut self, stream: Stream, _: Message) {
        // Dropping it tells the runner that nobody takes it.
        let runner = self.name;
        lines::event(move || {
            tracing::warn!(%runner, ?stream, "a runner opened a stream by itself");
        });
    }

    fn control(&mut self, message: Message) {
        let runner = self.name;
        match RunnerToParent::decode(&message.body) {
            Ok(RunnerToParent::Idle { idle_ms, .. }) => {
                let idle_for = Duration::from_millis(idle_ms);
                self.pool.handle(Event::IdleProposed { runner: self.id, idle_for });
            }
            Ok(RunnerToParent::Draining { reason }) => {
                tracing::debug!(runner = %self.name, %reason, "a runner drains");
                self.pool.handle(Event::RunnerDraining { runner: self.id });
            }
            Ok(RunnerToParent::Goodbye { reason }) => {
                tracing::debug!(runner = %self.name, %reason, "a runner says goodbye");
                self.seen.send_modify(|seen| seen.goodbye = true);
            }
            Ok(RunnerToParent::Log(record)) => log::forward(self.name, record),
            Ok(_) => lines::event(move || {
                tracing::warn!(%runner, "a runner said something unknown");
            }),
            Err(error) => lines::event(move || {
                tracing::warn!(%runner, %error, "a runner said something unreadable");
            }),
        }
    }

    fn connected(&mut self, up: bool) {
        if up {
            self.pool.listener.admission().heard(self.name);
        }
        self.seen.send_modify(|seen| seen.socket = up);
    }

    /// Before its slots come free, so that nobody is given one of them.
    fn over(&mut self, end: &LinkEnd) {
        let runner = self.id;
        if self.seen.borrow().goodbye {
            self.pool.handle(Event::RunnerDraining { runner });
        } else {
            let (name, end) = (self.name, end.clone());
            lines::event(move || tracing::warn!(runner = %name, %end, "a runner was lost"));
            self.pool.handle(Event::RunnerLost { runner });
        }
    }
}

/// Waits for a value, without holding on to it.
async fn until<T>(watched: &mut watch::Receiver<T>, what: impl FnMut(&T) -> bool) {
    if watched.wait_for(what).await.is_err() {
        // Nobody will tell any more: it does not come.
        std::future::pending().await
    }
}

/// Answers an idle proposal: stay.
pub(crate) fn say_stay_up(link: &Link, again_in: Option<Duration>) {
    say(link, &ParentToRunner::StayUp { again_in_ms: again_in.map(millis) });
}

fn say(link: &Link, message: &ParentToRunner) {
    match message.encode() {
        Ok(body) => {
            // A link that is over needs no telling.
            let _ = link.control(Tag::Control.into(), body.into());
        }
        Err(error) => lines::event(move || {
            tracing::error!(%error, "a message to a runner can't be written");
        }),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
