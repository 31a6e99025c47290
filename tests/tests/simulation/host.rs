//! A machine with one process: a tokio runtime of its own, with a clock and a network of its own.
//!
//! So a process that is killed takes all of its tasks with it, a process that is frozen does
//! nothing at all, and each process has its own view of the time.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use flame_link::simulation::NetworkSimulation;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::network::{HostClock, HostNetwork, Network, Time};

/// A machine and its process.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) network: HostNetwork,
    /// `None` once the process is dead.
    process: Option<Process>,
    frozen: Option<Frozen>,
}

struct Process {
    main: JoinHandle<()>,
    _network: NetworkSimulation,
    runtime: Runtime,
}

/// A process that does not run at the moment.
#[derive(Debug, Clone, Copy)]
struct Frozen {
    since: Time,
    how: Freeze,
}

/// How a process is stopped for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// By SIGSTOP: its machine still accepts bytes and connections for it.
    Process,
    /// With its machine, whose clock goes on.
    Machine,
    /// With its machine, whose clock stands still.
    MachineAndClock,
}

impl Host {
    /// A machine, and a process with this `main`.
    pub(crate) fn start(
        name: String,
        address: IpAddr,
        network: &Arc<Mutex<Network>>,
        now: Time,
        main: impl FnOnce(HostNetwork) -> Main,
    ) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime starts");
        let within = runtime.enter();
        let clock = Arc::new(HostClock::new(now));
        drop(within);
        let network = HostNetwork { address, clock, network: network.clone() };
        network.lock().add_host(address);
        network.lock().trace.line(now, format_args!("{name} starts"));
        let simulation = NetworkSimulation::start(runtime.handle(), Arc::new(network.clone()));
        let main = runtime.spawn(main(network.clone()));
        let process = Some(Process { main, _network: simulation, runtime });
        Self { name, network, process, frozen: None }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The number of tasks, that of `main` included.
    pub(crate) fn tasks(&self) -> usize {
        let metrics = self.process.as_ref().map(|process| process.runtime.metrics());
        metrics.map_or(0, |metrics| metrics.num_alive_tasks())
    }

    /// Runs the process until this time of the simulation. Returns whether it has ended by itself.
    pub(crate) fn run_until(&mut self, end: Time) -> bool {
        match (&self.process, self.frozen) {
            (Some(process), None) => {
                process.runtime.block_on(self.network.run_until(end));
                let has_ended = process.main.is_finished();
                if has_ended {
                    self.kill(end);
                }
                has_ended
            }
            (_, Some(Frozen { how: Freeze::Machine | Freeze::MachineAndClock, .. })) => false,
            (None, _) | (_, Some(Frozen { how: Freeze::Process, .. })) => {
                let before = end.saturating_sub(std::time::Duration::from_nanos(1));
                self.network.lock().deliver(self.network.address, before);
                false
            }
        }
    }

    /// Calls a function in the runtime of the process, where the time is that of the host. Elsewhere
    /// the library would read the real clock.
    pub(crate) fn within(&self, call: impl FnOnce()) {
        if let Some(process) = &self.process {
            let _within = process.runtime.enter();
            call();
        }
    }

    /// Kills the process. Its machine closes its sockets.
    pub(crate) fn kill(&mut self, now: Time) {
        self.thaw(now);
        if let Some(process) = self.process.take() {
            let mut network = self.network.lock();
            network.trace.line(now, format_args!("{} is gone", self.name));
            // Before the sockets are dropped, which happens outside of the runtime.
            network.process_died(now, self.network.address);
            drop(network);
            drop(process);
        }
    }

    /// Switches the machine off.
    pub(crate) fn switch_off(&mut self, now: Time) {
        self.network.lock().machine_lost(self.network.address);
        self.kill(now);
    }

    pub(crate) fn freeze(&mut self, now: Time, how: Freeze) {
        if self.frozen.is_none() && self.is_alive() {
            self.frozen = Some(Frozen { since: now, how });
        }
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&mut self, now: Time) {
        let (Some(Frozen { since, how }), Some(process)) = (self.frozen.take(), &self.process)
        else {
            return;
        };
        let missed = now.saturating_sub(since);
        if how == Freeze::MachineAndClock {
            self.network.clock.stood_still(missed);
        } else {
            process.runtime.block_on(tokio::time::advance(missed));
        }
        self.network.lock().resumed(now, self.network.address);
    }
}

/// The `main` of a process.
pub(crate) type Main = futures_util::future::BoxFuture<'static, ()>;
