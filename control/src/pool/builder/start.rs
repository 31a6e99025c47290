//! The options, checked once, make a pool.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flame_link::ServerKey;
use flame_runner_shim::build_id::build_id;
use flame_wire::parent::RunnerLimits;
use tokio::net::TcpListener;

use super::connection_times::ConnectionTimes;
use super::{PoolBuilder, check};
use crate::app;
use crate::backend::catch_panics::CatchPanics;
use crate::backend::{Backend, Instances, PoolInfo, Process};
use crate::code::Code;
use crate::error::PoolError;
use crate::listener::{self, Listener};
use crate::pool::Pool;
use crate::pool::burst::{Burst, Policy};
use crate::pool::config::Config;
use crate::pool::driver::{self, Booter, Shared};
use crate::pool::state::Limits;

/// Ten years: what a runner takes for the longest time, too.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl PoolBuilder {
    /// Starts the pool. Runners boot in the background: see [`Pool::ready`].
    ///
    /// Call it inside the closure given to [`App::run`](crate::App::run). A pool that is started
    /// before is refused in a runner, and boots no copies of this process until `run` is reached.
    ///
    /// # Errors
    /// [`PoolError`]; nothing was started.
    pub async fn start(mut self) -> Result<Pool, PoolError> {
        if app::is_runner_to_be() {
            return Err(PoolError::NotServing);
        }
        self.check()?;
        let depth = app::depth();
        // FLAME's runners start their pools empty, too: otherwise each copy would boot copies.
        if depth > 0 {
            self.min = 0;
            self.min_free_slots = 0;
        }
        if depth >= self.max_depth {
            return Err(PoolError::DepthExceeded { depth });
        }
        self.bound();
        let build = build_id().map_err(|error| PoolError::Build(error.into()))?.clone();
        let backend = self.backend.take().unwrap_or_else(|| CatchPanics::wrap(Process::new()));
        let listen = |source| PoolError::Listen { address: self.listen.to_string(), source };
        let socket = TcpListener::bind(self.listen).await.map_err(listen)?;
        let address = match &self.advertise {
            Some(address) => address.clone(),
            None => {
                let heard = socket.local_addr().map_err(listen)?;
                // "Every address of this machine" is none that could be dialled.
                let known =
                    if heard.ip().is_unspecified() { backend.address().await } else { None };
                format!("ws://{}", SocketAddr::new(known.unwrap_or(heard.ip()), heard.port()))
            }
        };
        let boot_timeout = self.boot_timeout.unwrap_or_else(|| backend.boot_timeout()).min(LONGEST);
        check::of_backends(boot_timeout, self.burst.as_deref())?;
        let output = crate::pool::output::sink(self.log);
        let info = PoolInfo {
            name: self.name.clone(),
            address: address.clone(),
            boot_timeout,
            reconnect_timeout: self.connection_times().reconnect_timeout,
            shutdown_timeout: self.shutdown_timeout,
            max_lifetime: self.max_lifetime,
            args: app::copies::args(),
            output: output.clone().into_fn(),
            log: self.log,
        };
        let instances = backend.start(info.clone()).await?;
        let burst = match self.burst.take() {
            Some(burst) => {
                let boot_timeout = burst.boot_timeout().min(LONGEST);
                let instances = burst.start(PoolInfo { boot_timeout, ..info }).await?;
                Some((burst, instances))
            }
            None => None,
        };
        let barred = app::copies::barred(backend.as_ref());
        let backend = Booter { backend, instances, barred };
        let code = if self.code_sync { Some(Code::own(&build).await?) } else { None };
        let key = ServerKey::generate().map_err(|error| PoolError::Key(error.into()))?;
        let listener = Listener::new(key, build, code);
        let accepting = tokio::spawn(listener.clone().serve(listener::tcp_sockets(socket)));
        let callbacks = std::mem::take(&mut self.callbacks);
        let config = self.config(depth, self.limits(), boot_timeout);
        let shared = Shared::new(config, backend, listener, address, accepting);
        if let Some((backend, instances)) = burst {
            self.start_burst(&shared, depth, backend, instances);
        }
        output.attach(&shared);
        callbacks.listen(shared.events.subscribe());
        shared.start();
        tokio::spawn(driver::keep_time(shared.clone()));
        app::signals::enrol(&shared);
        Ok(Pool::new(shared))
    }

    fn start_burst(
        &self,
        first: &Arc<Shared>,
        depth: u8,
        backend: Arc<dyn Backend>,
        instances: Arc<dyn Instances>,
    ) {
        let barred = app::copies::barred(backend.as_ref());
        let limits = Limits { min: 0, min_free_slots: 0, max: self.burst_max, ..self.limits() };
        let config = self.config(depth, limits, backend.boot_timeout().min(LONGEST));
        let policy = Policy { longest: instances.longest_call() };
        let pool = first.new_burst(config, Booter { backend, instances, barred });
        tokio::spawn(driver::keep_time(pool.clone()));
        // The pool is new: it has none.
        let _ = first.burst.set(Burst { pool, policy });
    }

    /// Times that are as good as for ever become some that clocks can add.
    fn bound(&mut self) {
        let bounded = [
            &mut self.shutdown_timeout,
            &mut self.backoff.first,
            &mut self.backoff.max,
            &mut self.backoff.breaker_open,
        ];
        for time in bounded {
            *time = LONGEST.min(*time);
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            min: self.min,
            max: self.max,
            max_concurrency: self.max_concurrency.unwrap_or(if self.single_use { 1 } else { 100 }),
            max_queue: self.max_queue,
            min_free_slots: self.min_free_slots,
            single_use: self.single_use,
            placement: self.placement,
            min_idle_shutdown_after: self.min_idle.limit(),
            boot_backoff: self.backoff,
        }
    }

    pub(super) fn config(&self, depth: u8, limits: Limits, boot_timeout: Duration) -> Config {
        let ConnectionTimes { keepalive_timeout, reconnect_timeout } = self.connection_times();
        let runner = RunnerLimits {
            // A runner that its parent has given up has nothing left to wait for.
            failsafe_ms: millis(boot_timeout),
            reconnect_timeout_ms: millis(reconnect_timeout),
            idle_ms: self.idle.limit().map(millis),
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
        Config {
            name: self.name.clone(),
            limits,
            timeout: self.timeout,
            boot_timeout,
            shutdown_timeout: self.shutdown_timeout,
            runner,
            depth: depth.saturating_add(1),
            event_buffer: 1024,
        }
    }
}
