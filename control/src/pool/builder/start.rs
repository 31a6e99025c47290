//! Starts a pool from its options, which are checked first.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::build_id::build_id;
use flame_wire::ids::BuildId;
use flame_wire::parent::RunnerLimits;
use flame_wire::time::millis;

use super::connection_times::{ConnectionTimes, LONGEST};
use super::{PoolBuilder, check};
use crate::app::{self, reached};
use crate::backend::catch_panics::CatchPanics;
use crate::backend::{Backend, Instances, PoolInfo, Process};
use crate::code::Code;
use crate::cost::{InstancePrice, InstanceSize, Prices};
use crate::error::{BadOption, PoolError};
use crate::listener::{Endpoint, Listener};
use crate::metrics::{LaneRecorder, MeteredPool};
use crate::pool::burst::{BurstLane, BurstPolicy};
use crate::pool::events::EventSender;
use crate::pool::lane::{Lane, LaneConfig, LaneRole, LaneSetup};
use crate::pool::output::OutputForwarder;
use crate::pool::shared::PoolShared;
use crate::pool::state::PoolLimits;
use crate::pool::{Pool, PoolInner};
use crate::relay::Relay;
use crate::supervisor;

/// The default of `listen`.
const ANY_LOCAL_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

impl PoolBuilder {
    /// Starts the pool. Runners boot in the background: see [`Pool::ready`].
    ///
    /// Call it inside the closure given to [`App::run`](crate::App::run). Before `run` is reached,
    /// a runner can't start a pool, and a pool in a parent boots no copies of this process.
    ///
    /// # Errors
    /// [`PoolError`]; the pool has not started.
    pub async fn start(mut self) -> Result<Pool, PoolError> {
        if app::is_runner_to_be() {
            return Err(PoolError::NotServing);
        }
        self.choose_relay();
        self.check()?;
        let depth = app::depth();
        // As in FLAME, pools on a runner start empty. Otherwise each copy would boot copies.
        if depth > 0 {
            self.min = 0;
            self.min_free_slots = 0;
        }
        if depth >= self.max_depth {
            return Err(PoolError::DepthExceeded { depth });
        }
        self.cap_times();
        let build = build_id().map_err(|error| PoolError::Build(error.into()))?.clone();
        let backend = self.backend.take().unwrap_or_else(|| CatchPanics::wrap(Process::new()));
        let listener =
            Listener::of_current_runtime(&build).map_err(|error| PoolError::Key(error.into()))?;
        let endpoint = self.endpoint(&listener, backend.as_ref()).await?;
        let boot_timeout = self.boot_timeout.unwrap_or_else(|| backend.boot_timeout()).min(LONGEST);
        check::boot_timeouts(boot_timeout, self.burst.as_deref())?;
        let output = OutputForwarder::new(self.log);
        let info = PoolInfo {
            name: self.name.clone(),
            addresses: endpoint.base_addresses(),
            has_relay: self.relay.is_some(),
            boot_timeout,
            shutdown_timeout: self.shutdown_timeout,
            reconnect_timeout: self.connection_times().reconnect_timeout,
            max_lifetime: self.max_lifetime,
            size: self.size,
            args: app::copies::args(),
            output: output.clone().into_fn(),
            // Replaced by `StartedBackend`.
            orphan_stopped: Arc::new(|| {}),
            log: self.log,
        };
        let primary = StartedBackend::start(backend, info.clone(), &self.prices).await?;
        let burst = match self.burst.take() {
            Some(backend) => {
                let boot_timeout = backend.boot_timeout().min(LONGEST);
                let info = PoolInfo { boot_timeout, ..info };
                Some(StartedBackend::start(backend, info, &self.prices).await?)
            }
            None => None,
        };
        let limits = self.lane_limits(&primary, burst.as_ref())?;
        let code = if self.code_sync { Some(self.code(&build).await?) } else { None };
        let events = EventSender::new(&self.name);
        let shared = PoolShared::new(self.name.clone(), events, listener, endpoint, code);
        let callbacks = std::mem::take(&mut self.callbacks);
        let inner = Arc::new(self.lanes(
            Arc::new(shared),
            depth,
            (limits.primary, primary),
            burst.zip(limits.burst),
        ));
        output.attach(&inner);
        callbacks.listen(inner.shared.events.subscribe());
        for lane in inner.lanes() {
            let (running, inner) = (lane.clone().run(), inner.clone());
            tokio::spawn(async move {
                running.await;
                drop(inner);
            });
        }
        app::signals::register(&inner);
        MeteredPool::new(&inner).register();
        Ok(Pool::new(inner))
    }

    /// Takes the relay of the environment, if the pool's options say nothing of where runners
    /// connect.
    fn choose_relay(&mut self) {
        self.relay = match self.relay.take() {
            Some(relay) => Some(relay.with_key_from_environment()),
            None if self.listen.is_none() && self.advertise.is_none() => Relay::from_environment(),
            None => None,
        };
    }

    /// The executable for runners of another build.
    async fn code(&self, build: &BuildId) -> Result<Code, PoolError> {
        let code = Code::own(build).await?;
        #[cfg(feature = "code-s3")]
        let code = code.in_store(self.code_store.as_ref());
        Ok(code)
    }

    /// Opens what runners connect to, unless another pool has opened it.
    async fn endpoint(
        &self,
        listener: &Listener,
        backend: &dyn Backend,
    ) -> Result<Endpoint, PoolError> {
        if let Some(relay) = &self.relay {
            return Ok(Endpoint::Relay(listener.connect_to(relay).await?));
        }
        let listen = self.listen.unwrap_or(ANY_LOCAL_PORT);
        let source = listener
            .listen(listen)
            .map_err(|source| PoolError::Listen { address: listen.to_string(), source })?;
        if let Some(address) = &self.advertise {
            return Ok(Endpoint::tcp(source, address.clone()));
        }
        let local = source.local_address();
        // Nobody can connect to 0.0.0.0, which means every address of this machine.
        let known = if local.ip().is_unspecified() { backend.address().await } else { None };
        // A socket on 0.0.0.0 accepts no IPv6 connections.
        let known = known.filter(|known| known.is_ipv4() || local.is_ipv6());
        let address = SocketAddr::new(known.unwrap_or(local.ip()), local.port());
        Ok(Endpoint::tcp(source, format!("ws://{address}")))
    }

    fn lanes(
        &self,
        shared: Arc<PoolShared>,
        depth: u8,
        (limits, primary): (PoolLimits, StartedBackend),
        burst: Option<(StartedBackend, PoolLimits)>,
    ) -> PoolInner {
        let burst = burst.map(|(burst, limits)| {
            let policy = BurstPolicy { longest_call: burst.instances.longest_call() };
            let config = self.lane_config(depth, limits, burst.boot_timeout);
            BurstLane { lane: lane(shared.clone(), LaneRole::Burst, config, burst), policy }
        });
        let config = self.lane_config(depth, limits, primary.boot_timeout);
        let primary = lane(shared.clone(), LaneRole::Primary, config, primary);
        let (timeout, budget) = (self.timeout, self.budget);
        PoolInner { shared, primary, burst, timeout, budget }
    }

    /// The limits of each lane, with what the budget pays for at the backends' prices.
    fn lane_limits(
        &self,
        primary: &StartedBackend,
        burst: Option<&StartedBackend>,
    ) -> Result<LimitsOfLanes, PoolError> {
        let limits = self.limits();
        let of_burst = |budget| PoolLimits {
            min: 0,
            min_free_slots: 0,
            max: self.burst_max,
            budget,
            ..limits.clone()
        };
        let (for_primary, for_burst) = match self.budget {
            None => (None, None),
            Some(budget) => {
                let price = |backend: &StartedBackend| backend.price_for_budget();
                let divided = || {
                    let burst = burst.map(price).transpose()?;
                    budget.divide((price(primary)?, self.max), burst)
                };
                divided().map_err(|BadOption { option, why }| PoolError::Option {
                    option,
                    why,
                    others: Vec::new(),
                })?
            }
        };
        let burst = burst.map(|_| of_burst(for_burst));
        let primary = PoolLimits { budget: for_primary, ..limits };
        PoolError::of_options(primary.wrong())?;
        Ok(LimitsOfLanes { primary, burst })
    }

    /// Caps times at [`LONGEST`], so that adding one to an instant can't overflow.
    fn cap_times(&mut self) {
        let times = [
            &mut self.shutdown_timeout,
            &mut self.backoff.first,
            &mut self.backoff.max,
            &mut self.backoff.breaker_open,
        ];
        for time in times {
            *time = LONGEST.min(*time);
        }
    }

    pub(super) fn limits(&self) -> PoolLimits {
        PoolLimits {
            min: self.min,
            max: self.max,
            max_concurrency: self.max_concurrency.unwrap_or(if self.single_use { 1 } else { 100 }),
            max_queue: self.max_queue,
            min_free_slots: self.min_free_slots,
            single_use: self.single_use,
            placement: self.placement,
            min_idle_shutdown_after: self.min_idle.timeout(),
            boot_backoff: self.backoff,
            // Known when the backends have started.
            budget: None,
        }
    }

    pub(super) fn lane_config(
        &self,
        depth: u8,
        limits: PoolLimits,
        boot_timeout: Duration,
    ) -> LaneConfig {
        let ConnectionTimes { keepalive_timeout, reconnect_timeout } = self.connection_times();
        let runner_limits = RunnerLimits {
            // After its boot timeout the parent no longer accepts the runner.
            failsafe_ms: millis(boot_timeout),
            reconnect_timeout_ms: millis(reconnect_timeout),
            idle_ms: self.idle.timeout().map(millis),
            max_lifetime_ms: self.max_lifetime.map(millis),
            shutdown_ms: millis(self.shutdown_timeout),
            ping_ms: millis(keepalive_timeout / 3).max(1),
            keepalive_timeout_ms: millis(keepalive_timeout),
            max_message: self.max_message,
            max_depth: self.max_depth,
            single_use: self.single_use,
            log: self.log,
            ..RunnerLimits::default()
        };
        LaneConfig {
            limits,
            boot_timeout,
            shutdown_timeout: self.shutdown_timeout,
            runner_limits,
            depth: depth.saturating_add(1),
        }
    }
}

struct LimitsOfLanes {
    primary: PoolLimits,
    burst: Option<PoolLimits>,
}

/// A backend that has been started for this pool.
struct StartedBackend {
    backend: Arc<dyn Backend>,
    instances: Arc<dyn Instances>,
    recorder: Arc<LaneRecorder>,
    boot_timeout: Duration,
}

impl StartedBackend {
    async fn start(
        backend: Arc<dyn Backend>,
        info: PoolInfo,
        prices: &Prices,
    ) -> Result<Self, PoolError> {
        let boot_timeout = info.boot_timeout;
        let recorder = Arc::new(LaneRecorder::new());
        let counter = recorder.clone();
        let orphan_stopped = Arc::new(move || counter.orphan_stopped());
        let instances = backend.start(PoolInfo { orphan_stopped, ..info }).await?;
        recorder.cost.lock().set_price(prices.of(&instances.size()));
        Ok(Self { backend, instances, recorder, boot_timeout })
    }

    /// The price of one instance. A budget can't be kept without one.
    fn price_for_budget(&self) -> Result<InstancePrice, BadOption> {
        if self.instances.size() != InstanceSize::Unknown {
            return Ok(self.recorder.price());
        }
        let why = format!(
            "can't be kept, because the cost of an instance of the {} backend is unknown: leave out \
             `budget`, or let this process read the size of its instances",
            self.backend.kind()
        );
        Err(BadOption { option: "budget", why })
    }
}

/// A lane whose boots are blocked if copies of this process would not become runners yet.
fn lane(
    shared: Arc<PoolShared>,
    role: LaneRole,
    config: LaneConfig,
    StartedBackend { backend, instances, recorder, .. }: StartedBackend,
) -> Arc<Lane> {
    let boots_blocked = app::copies::boots_blocked(backend.as_ref());
    let is_blocked = boots_blocked.is_some();
    let start_supervisor = supervisor::start;
    let setup =
        LaneSetup { role, config, backend, instances, recorder, boots_blocked, start_supervisor };
    let lane = Lane::new(shared, setup);
    if is_blocked {
        let blocked = Arc::downgrade(&lane);
        reached::when_reached(move || {
            if let Some(lane) = blocked.upgrade() {
                lane.unblock_boots();
            }
        });
    }
    lane
}
