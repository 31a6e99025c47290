//! The effects that a lane carries out after it has released its lock, and their order.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use flame_link::{Driver, Handler, Link, LinkConfig, ServerKey, Stream};
use flame_wire::ids::BuildId;
use flame_wire::mux::{Message, Side};
use flame_wire::parent::RunnerLimits;
use flame_wire::sync::Mutex;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::backend::{BackendError, BootSpec, Death, Instance, Instances, Local};
use crate::listener::{Endpoint, Listener};
use crate::pool::events::{EventSender, Events};
use crate::pool::lane::{CheckoutRequest, LaneConfig, LaneSetup, RunnerConnection};
use crate::pool::shared::PoolShared;
use crate::pool::state::{BootBackoff, LimitsChange, Placement, PoolLimits};

/// A lane whose runners come up only when a test says so.
fn lane() -> Arc<Lane> {
    let limits = PoolLimits {
        min: 0,
        max: 4,
        max_concurrency: 1,
        max_queue: 10,
        min_free_slots: 0,
        single_use: false,
        placement: Placement::Spread,
        min_idle_shutdown_after: None,
        boot_backoff: BootBackoff::default(),
        budget: None,
    };
    let second = Duration::from_secs(1);
    let config = LaneConfig {
        limits,
        boot_timeout: second,
        shutdown_timeout: second,
        runner_limits: RunnerLimits::default(),
        depth: 1,
    };
    let listener = Listener::new(ServerKey::generate().unwrap(), BuildId::new("test"));
    let source = listener.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let endpoint = Endpoint::tcp(source, "ws://localhost:1".to_owned());
    let shared =
        PoolShared::new("test".to_owned(), EventSender::new("test"), listener, endpoint, None);
    let lane = Lane::new(
        Arc::new(shared),
        LaneSetup {
            role: LaneRole::Primary,
            config,
            backend: Arc::new(Local::new()),
            instances: Arc::new(NoInstances),
            recorder: Arc::new(LaneRecorder::new()),
            boots_blocked: None,
            start_supervisor: |_| {},
        },
    );
    lane.step(|_| {});
    lane
}

struct NoInstances;

impl Instances for NoInstances {
    fn remote_boot(&self, _: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async { Err(BootFailure::new("it boots nothing")) }.boxed()
    }

    fn stop<'a>(&'a self, _: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async { Ok(()) }.boxed()
    }

    fn watch(&self, _: &Instance) -> BoxFuture<'static, Death> {
        std::future::pending().boxed()
    }
}

struct NoHandler;

impl Handler for NoHandler {
    fn on_stream_opened(&mut self, _: Stream, _: Message) {}
    fn on_control(&mut self, _: Message) {}
}

fn connection() -> RunnerConnection {
    let (link, _): (Link, _) = Driver::new(Side::Parent, LinkConfig::default(), |_| NoHandler);
    RunnerConnection { link, instance: "test".to_owned(), pid: None, expires: None }
}

/// Calls a function when it is woken for the first time.
struct OnWake(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        let first = self.0.lock().take();
        first.into_iter().for_each(|on_wake| on_wake());
    }
}

fn on_wake(on_wake: impl FnOnce() + Send + 'static) -> Waker {
    Arc::new(OnWake(Mutex::new(Some(Box::new(on_wake))))).into()
}

/// Registers the waker for the next event.
fn wake_at_next_event<'a>(events: &'a mut Events, waker: &Waker) -> BoxFuture<'a, ()> {
    let mut next = async { drop(events.next().await) }.boxed();
    assert!(next.poll_unpin(&mut Context::from_waker(waker)).is_pending());
    next
}

fn started(events: &mut Events) -> Vec<RunnerRef> {
    let mut started = Vec::new();
    while let Some(Some(Ok(event))) = events.next().now_or_never() {
        if let PoolEvent::GrowStart { runner, .. } = event {
            started.push(runner);
        }
    }
    started
}

fn booted(lane: &Lane) -> Vec<RunnerRef> {
    let runners = lane.read(|state| state.snapshot()).runners;
    runners.iter().map(|runner| lane.runner(runner.id).unwrap().0).collect()
}

#[tokio::test]
async fn a_listener_may_call_the_pool_while_it_is_woken_and_events_stay_in_order() {
    let lane = lane();
    let mut all = Events::new(lane.events().subscribe());
    let mut events = Events::new(lane.events().subscribe());
    let resized = lane.clone();
    let waker = on_wake(move || resized.resize(LimitsChange::new().min(4)).unwrap());
    let next = wake_at_next_event(&mut events, &waker);
    lane.resize(LimitsChange::new().min(3)).unwrap();
    drop(next);
    let booted = booted(&lane);
    assert_eq!(booted.len(), 4, "the listener has resized the pool");
    assert_eq!(started(&mut all), booted);
}

#[tokio::test]
async fn a_task_that_waits_until_the_pool_is_ready_may_call_it_while_it_is_woken() {
    let lane = lane();
    lane.resize(LimitsChange::new().min(1)).unwrap();
    lane.status.send_modify(|status| status.ready = false);
    let mut status = lane.status();
    let (done, is_done) = mpsc::channel();
    let seen = lane.clone();
    let waker = on_wake(move || done.send(seen.read(|state| state.is_ready())).unwrap());
    let mut ready = status.wait_for(|status| status.ready).boxed();
    assert!(ready.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    lane.runner_up(RunnerId(0), connection(), None);
    assert_eq!(is_done.try_recv(), Ok(true));
}

#[tokio::test]
async fn a_call_is_answered_after_the_last_event_that_precedes_its_slot() {
    let lane = lane();
    lane.resize(LimitsChange::new().min(1)).unwrap();
    let (woken, is_woken) = mpsc::channel();
    let (proceed, may_proceed) = mpsc::channel();
    let waker = on_wake(move || {
        woken.send(()).unwrap();
        may_proceed.recv().unwrap();
    });
    let mut status = lane.status();
    status.mark_unchanged();
    let mut changed = status.changed().boxed();
    assert!(changed.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    let other = lane.clone();
    // Another thread reports the runner up. It is held in the last effect of that, before it sends
    // the event `Ready`.
    let thread = std::thread::spawn(move || other.runner_up(RunnerId(0), connection(), None));
    is_woken.recv().unwrap();
    assert!(lane.locked.lock().effects.is_empty());
    let request = CheckoutRequest { deadline: None, bounds_work: false, call: None };
    let mut pending = Box::pin(lane.check_out(&request).answer());
    let mut poll = || pending.poll_unpin(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending(), "the last event of the boot is not sent");
    proceed.send(()).unwrap();
    thread.join().unwrap();
    assert!(matches!(poll(), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_panic_while_effects_are_carried_out_does_not_stop_later_ones() {
    let lane = lane();
    let mut events = Events::new(lane.events().subscribe());
    let waker = on_wake(|| panic!("a waker panics"));
    let next = wake_at_next_event(&mut events, &waker);
    let other = lane.clone();
    let thread = std::thread::spawn(move || other.resize(LimitsChange::new().min(2)));
    thread.join().unwrap_err();
    drop(next);
    let mut events = Events::new(lane.events().subscribe());
    lane.resize(LimitsChange::new().min(3)).unwrap();
    assert!(!started(&mut events).is_empty(), "effects are carried out again");
    assert!(lane.locked.lock().is_settled());
}

#[tokio::test]
async fn a_call_that_waited_for_a_boot_knows_its_trace_and_a_later_one_does_not() {
    let lane = lane();
    let request = CheckoutRequest { deadline: None, bounds_work: false, call: None };
    let waiting = lane.check_out(&request).answer();
    let boot = TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
    lane.runner_up(RunnerId(0), connection(), Some(boot));
    let waited = waiting.await.unwrap();
    assert_eq!(waited.boot(), Some(boot));
    drop(waited);
    assert_eq!(lane.check_out(&request).answer().await.unwrap().boot(), None);
}
