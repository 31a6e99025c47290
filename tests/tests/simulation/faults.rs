//! Decides which faults happen and when, and ends them.

use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::host::Freeze;
use crate::network::{ConnectionId, Side, Time};
use crate::relays;
use crate::scenario::{FaultPlan, Scenario};
use crate::simulation::{PARENT, Simulation, Task};

/// The pause between two survivable faults. In the worst case both sides need their
/// `keepalive_timeout`, one after the other, to notice a lost connection.
const SURVIVABLE_PAUSE: std::ops::Range<u64> = 80_000..120_000;

/// The end of a fault.
pub(crate) enum Repair {
    Heal(IpAddr, IpAddr),
    Thaw(IpAddr),
    Accept(IpAddr),
    StartRelay(u8),
    /// All hosts go on, and their clocks have jumped.
    ThawAll,
    Platform,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ResetConnection,
    ResetOneEnd,
    ForgetConnection,
    ForgetDirection,
    Garble,
    Hold,
    HoldDirection,
    Isolate,
    ParentMoves,
    Refuse,
    FreezeRunner,
    FreezeParent,
    FreezeRelay,
    FreezeAll,
    KillRelay,
    DrainRelay,
    SignalRunner,
    KillRunner,
    SwitchOffRunner,
    PlatformFails,
}

/// The faults that no call may be lost by.
const SURVIVABLE: [Fault; 16] = [
    Fault::ResetConnection,
    Fault::ResetOneEnd,
    Fault::ForgetConnection,
    Fault::ForgetDirection,
    Fault::Garble,
    Fault::Hold,
    Fault::HoldDirection,
    Fault::Isolate,
    Fault::ParentMoves,
    Fault::Refuse,
    Fault::FreezeRunner,
    Fault::FreezeParent,
    Fault::FreezeRelay,
    Fault::FreezeAll,
    Fault::KillRelay,
    Fault::DrainRelay,
];
const OTHERS: [Fault; 4] =
    [Fault::SignalRunner, Fault::KillRunner, Fault::SwitchOffRunner, Fault::PlatformFails];

/// When the next fault happens.
pub(crate) struct FaultSchedule {
    random: StdRng,
    next: Time,
}

impl FaultSchedule {
    pub(crate) fn new(simulation: &Simulation) -> Self {
        let random = StdRng::seed_from_u64(simulation.scenario.seed ^ 0xfa17);
        Self { random, next: Duration::from_secs(5) }
    }

    /// Lets the fault happen that is due.
    pub(crate) fn step(&mut self, simulation: &mut Simulation) {
        if simulation.now < self.next {
            return;
        }
        let plan = simulation.scenario.faults;
        let pause = match plan {
            FaultPlan::Survivable => self.random.random_range(SURVIVABLE_PAUSE),
            FaultPlan::Any => {
                self.random.random_range(0..simulation.scenario.fault_pause.as_millis() as u64)
            }
        };
        self.next = simulation.now + Duration::from_millis(pause);
        let fault = match plan {
            FaultPlan::Survivable => *SURVIVABLE.choose(&mut self.random).expect("not empty"),
            FaultPlan::Any => {
                let at = self.random.random_range(0..SURVIVABLE.len() + 2 * OTHERS.len());
                *SURVIVABLE.iter().chain(&OTHERS).chain(&OTHERS).nth(at).expect("in range")
            }
        };
        self.happens(simulation, fault);
    }

    /// Ends all faults.
    pub(crate) fn repair_all(&mut self, simulation: &mut Simulation) {
        let hosts: Vec<_> = simulation.hosts.keys().copied().collect();
        for from in &hosts {
            for to in &hosts {
                Repair::Heal(*from, *to).carry_out(simulation);
            }
            Repair::Thaw(*from).carry_out(simulation);
            Repair::Accept(*from).carry_out(simulation);
        }
        for relay in 0..simulation.scenario.relays {
            Repair::StartRelay(relay).carry_out(simulation);
        }
        simulation.platform.set_failures(0);
    }

    /// How long a fault lasts.
    fn duration(&mut self, scenario: &Scenario) -> Duration {
        let longest = match scenario.faults {
            FaultPlan::Survivable => Duration::from_secs(8),
            // So that a few faults overlap, but not so many that nothing works any more.
            FaultPlan::Any => scenario.fault_pause * [1, 4, 12][self.random.random_range(0..3)] / 2,
        };
        Duration::from_millis(self.random.random_range(1..longest.as_millis() as u64))
    }

    fn happens(&mut self, simulation: &mut Simulation, fault: Fault) {
        let end = simulation.now + self.duration(&simulation.scenario);
        let relay = (simulation.scenario.relays > 0)
            .then(|| self.random.random_range(0..simulation.scenario.relays));
        let side = if self.random.random() { Side::Client } else { Side::Server };
        let connection = self.connection(simulation);
        let runner = self.runner(simulation);
        let how = *[Freeze::Process, Freeze::Machine, Freeze::MachineAndClock]
            .choose(&mut self.random)
            .expect("not empty");
        let line = format!(
            "FAULT {fault:?}: connection {connection:?} {side:?}, runner {runner:?}, \
             relay {relay:?}, {how:?}, until {end:?}"
        );
        let network = simulation.network.clone();
        let network = || network.lock().expect("nothing panics with the lock");
        network().trace.line(simulation.now, format_args!("{line}"));
        match (fault, connection, runner, relay) {
            (Fault::ResetConnection, Some(id), ..) => network().reset(id),
            (Fault::ResetOneEnd, Some(id), ..) => network().reset_end(id, side),
            (Fault::ForgetConnection, Some(id), ..) => network().forget(id),
            (Fault::ForgetDirection, Some(id), ..) => network().forget_side(id, side),
            (Fault::Garble, Some(id), ..) => network().garble(id, side),
            (Fault::Hold, ..) => {
                if let Some((from, to)) = self.route(simulation) {
                    self.hold(simulation, end, from, to);
                    self.hold(simulation, end, to, from);
                }
            }
            (Fault::HoldDirection, ..) => {
                if let Some((from, to)) = self.route(simulation) {
                    self.hold(simulation, end, from, to);
                }
            }
            (Fault::Isolate, ..) => {
                let hosts = alive(simulation);
                let Some(&isolated) = hosts.choose(&mut self.random) else { return };
                for other in hosts.into_iter().filter(|host| *host != isolated) {
                    self.hold(simulation, end, isolated, other);
                    self.hold(simulation, end, other, isolated);
                }
            }
            (Fault::ParentMoves, ..) => network().forget_host(PARENT),
            (Fault::Refuse, _, _, relay) => {
                let host = relay.map_or(PARENT, relays::address);
                network().refuse(host, true);
                simulation.at(end, Task::Repair(Repair::Accept(host)));
            }
            (Fault::FreezeRunner, _, Some(runner), _) => freeze(simulation, runner, how, end),
            (Fault::FreezeParent, ..) => freeze(simulation, PARENT, how, end),
            (Fault::FreezeRelay, _, _, Some(relay)) => {
                freeze(simulation, relays::address(relay), how, end);
            }
            (Fault::FreezeAll, ..) => {
                let now = simulation.now;
                simulation.hosts.values_mut().for_each(|host| host.freeze(now, Freeze::Machine));
                simulation.at(end, Task::Repair(Repair::ThawAll));
            }
            (Fault::KillRelay, _, _, Some(relay)) => {
                let now = simulation.now;
                if let Some(host) = simulation.hosts.get_mut(&relays::address(relay)) {
                    host.kill(now);
                }
                simulation.at(end, Task::Repair(Repair::StartRelay(relay)));
            }
            (Fault::DrainRelay, _, _, Some(relay)) => {
                if let Some(host) = simulation.hosts.get(&relays::address(relay))
                    && let Some(stopper) = simulation.stoppers.get(&relay)
                    && let Some(stopper) = &*stopper.lock().expect("nothing panics with the lock")
                {
                    host.within(|| stopper.drain());
                }
                // After its drain time, which is 30 s.
                let again = simulation.now + Duration::from_secs(45);
                simulation.at(again, Task::Repair(Repair::StartRelay(relay)));
            }
            (Fault::SignalRunner, _, Some(runner), _) => {
                let _ = simulation.runners[&runner].signals.send(15);
            }
            (Fault::KillRunner, _, Some(runner), _) => simulation.kill_runner(runner),
            (Fault::SwitchOffRunner, _, Some(runner), _) => simulation.switch_off_runner(runner),
            (Fault::PlatformFails, ..) => {
                let percent = [20, 50, 100][self.random.random_range(0..3)];
                simulation.platform.set_failures(percent);
                simulation.platform_has_failed = true;
                simulation.at(end, Task::Repair(Repair::Platform));
            }
            _ => {}
        }
    }

    fn hold(&self, simulation: &mut Simulation, end: Time, from: IpAddr, to: IpAddr) {
        simulation.network.lock().expect("nothing panics with the lock").hold(from, to);
        simulation.at(end, Task::Repair(Repair::Heal(from, to)));
    }

    fn connection(&mut self, simulation: &Simulation) -> Option<ConnectionId> {
        let network = simulation.network.lock().expect("nothing panics with the lock");
        network.connections().choose(&mut self.random).copied()
    }

    fn runner(&mut self, simulation: &Simulation) -> Option<IpAddr> {
        let is_runner = |host: &IpAddr| simulation.runners.contains_key(host);
        let runners: Vec<_> = alive(simulation).into_iter().filter(is_runner).collect();
        runners.choose(&mut self.random).copied()
    }

    /// Two hosts that talk to each other.
    fn route(&mut self, simulation: &Simulation) -> Option<(IpAddr, IpAddr)> {
        let relays: Vec<_> = (0..simulation.scenario.relays).map(relays::address).collect();
        let servers = if relays.is_empty() { vec![PARENT] } else { relays };
        let server = *servers.choose(&mut self.random)?;
        let others: Vec<_> = alive(simulation)
            .into_iter()
            .filter(|host| *host == PARENT || simulation.runners.contains_key(host))
            .filter(|host| *host != server)
            .collect();
        let other = *others.choose(&mut self.random)?;
        Some(if self.random.random() { (server, other) } else { (other, server) })
    }
}

fn alive(simulation: &Simulation) -> Vec<IpAddr> {
    let alive = simulation.hosts.iter().filter(|(_, host)| host.is_alive());
    alive.map(|(address, _)| *address).collect()
}

fn freeze(simulation: &mut Simulation, host: IpAddr, how: Freeze, end: Time) {
    let now = simulation.now;
    if let Some(host) = simulation.hosts.get_mut(&host) {
        host.freeze(now, how);
    }
    simulation.at(end, Task::Repair(Repair::Thaw(host)));
}

impl Repair {
    pub(crate) fn carry_out(self, simulation: &mut Simulation) {
        let now = simulation.now;
        let network = simulation.network.clone();
        let network = || network.lock().expect("nothing panics with the lock");
        match self {
            Repair::Heal(from, to) => network().heal(now, from, to),
            Repair::Accept(host) => network().refuse(host, false),
            Repair::Thaw(host) => {
                if let Some(host) = simulation.hosts.get_mut(&host)
                    && host.is_frozen()
                {
                    network().trace.line(now, format_args!("{} goes on", host.name));
                    host.thaw(now);
                }
            }
            Repair::Platform => simulation.platform.set_failures(0),
            Repair::ThawAll => {
                network().trace.line(now, format_args!("all hosts go on"));
                simulation.hosts.values_mut().for_each(|host| host.thaw(now));
            }
            Repair::StartRelay(relay) => {
                let is_alive = simulation.hosts.get(&relays::address(relay));
                if !is_alive.is_some_and(|host| host.is_alive()) {
                    simulation.start_relay(relay);
                }
            }
        }
    }
}
