//! Runs a scenario: lets time pass for all hosts, boots and stops runners, and checks the end.
//!
//! ```text
//! the pool starts ─▶ calls and faults ─▶ repair ─┬▶ one more call ─▶ drain ─┬▶ nothing is left
//!                                                └▶ the parent is lost ─────┘
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::backend::Instance;
use flame_wire::FlameParent;
use rand::Rng;
use tokio::sync::mpsc;

use crate::backend::{self, Platform, Request};
use crate::calls::CallLedger;
use crate::faults::{FaultSchedule, Repair};
use crate::host::Host;
use crate::network::{HostNetwork, Network, Time};
use crate::parent::{self, Contact, Progress};
use crate::relays::{self, SharedStopper};
use crate::scenario::{End, Scenario};
use crate::strangers;
use crate::trace::{self, Trace};

/// How long a new process takes to reach its `main`.
const BOOT_TIME: std::ops::Range<u64> = 100..4_000;
/// How long the last calls may take after the time for calls.
const CALLS_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long runners may live after their parent: as long as a boot may take, or until they have
/// noticed the loss, and have waited for the parent.
const ORPHANS_LIMIT: Duration = Duration::from_secs(2 * 60);
/// How long the pool may take to answer a call, once there are no faults.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long a drain may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long connections may stay open after the drain.
const CLOSE_LIMIT: Duration = Duration::from_secs(2 * 60);

/// The address of the parent.
pub(crate) const PARENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// The port on which the parent listens if there is no relay.
pub(crate) const PARENT_PORT: u16 = 4100;
/// The address of the strangers.
const STRANGERS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 3, 0, 1));

/// All hosts, and the network between them.
pub(crate) struct Simulation {
    pub(crate) scenario: Scenario,
    pub(crate) now: Time,
    pub(crate) network: Arc<Mutex<Network>>,
    pub(crate) hosts: BTreeMap<IpAddr, Host>,
    pub(crate) runners: BTreeMap<IpAddr, RunnerProcess>,
    pub(crate) stoppers: BTreeMap<u8, SharedStopper>,
    pub(crate) platform: Platform,
    /// The pool may have been unable to stop an instance.
    pub(crate) platform_has_failed: bool,
    ledger: Arc<CallLedger>,
    contact: Contact,
    /// The tasks that run later, by their time.
    agenda: BTreeMap<(Time, u64), Task>,
    last_task: u64,
    started_runners: u16,
}

/// The process of a runner.
pub(crate) struct RunnerProcess {
    instance: Instance,
    pub(crate) signals: mpsc::UnboundedSender<i32>,
}

/// Something that happens later.
pub(crate) enum Task {
    Boot(Instance, Box<FlameParent>),
    Stop(Instance),
    ReportDeath(Instance),
    Repair(Repair),
}

impl Simulation {
    pub(crate) fn new(scenario: Scenario, is_printed: bool) -> Self {
        let trace = Trace::new(is_printed);
        let network = Network::new(scenario.network, scenario.seed, trace);
        let mut simulation = Self {
            now: Duration::ZERO,
            network: Arc::new(Mutex::new(network)),
            hosts: BTreeMap::new(),
            runners: BTreeMap::new(),
            stoppers: BTreeMap::new(),
            platform: Platform::new(scenario.seed),
            platform_has_failed: false,
            ledger: Arc::default(),
            contact: Contact::new(),
            agenda: BTreeMap::new(),
            last_task: 0,
            started_runners: 0,
            scenario,
        };
        for relay in 0..simulation.scenario.relays {
            simulation.start_relay(relay);
        }
        simulation.start_parent();
        if simulation.scenario.has_strangers {
            simulation.start_strangers();
        }
        simulation
    }

    /// Runs the scenario. Returns what is wrong, and a summary.
    pub(crate) fn run(mut self) -> (Vec<String>, String) {
        let mut violations = self.run_phases().err().into_iter().collect::<Vec<_>>();
        let (wrong, answers) = self.ledger.verify(self.scenario.end != End::Drain);
        violations.extend(wrong);
        let network = self.network.lock().expect("nothing panics with the lock");
        let minutes = self.now.as_secs() / 60;
        let summary = format!("{minutes} min, {answers:?}; trace: {}", network.trace);
        drop(network);
        (violations, summary)
    }

    fn run_phases(&mut self) -> Result<(), String> {
        let mut faults = FaultSchedule::new(self);
        let limit = self.scenario.time + CALLS_LIMIT;
        let is_over = |simulation: &Self| match simulation.scenario.end {
            End::Drain => simulation.contact.progress() >= Progress::Called,
            _ => simulation.now >= simulation.scenario.time,
        };
        while !is_over(self) {
            self.step();
            faults.step(self);
            self.check_runners()?;
            self.check_limit(limit, "not all calls are answered")?;
        }
        faults.repair_all(self);
        if self.scenario.end != End::Drain {
            return self.lose_parent();
        }
        self.contact.healed.send_replace(true);
        let limit = self.now + RECOVERY_LIMIT;
        while self.contact.progress() < Progress::Draining {
            self.step();
            self.check_limit(limit, "the pool answers no call after the faults")?;
        }
        let limit = self.now + DRAIN_LIMIT;
        while self.contact.progress() < Progress::Drained {
            self.step();
            self.check_limit(limit, "the drain has not ended")?;
        }
        self.check_leftovers()
    }

    /// After the drain, nothing may be left.
    fn check_leftovers(&mut self) -> Result<(), String> {
        if let Some(host) = self.living_runners().next() {
            return Err(format!("{} is alive after the drain", host.name));
        }
        self.pass(CLOSE_LIMIT);
        let tasks = self.hosts[&PARENT].tasks();
        if tasks != 1 {
            return Err(format!("{tasks} tasks of the parent are left, its main among them"));
        }
        self.check_connections()?;
        self.contact.exit.send_replace(true);
        self.step();
        Ok(())
    }

    /// The parent dies. All of its runners end by themselves.
    fn lose_parent(&mut self) -> Result<(), String> {
        if let Some(parent) = self.hosts.get_mut(&PARENT) {
            match self.scenario.end {
                End::ParentIsSwitchedOff => parent.switch_off(self.now),
                _ => parent.kill(self.now),
            }
        }
        self.pass(ORPHANS_LIMIT);
        if let Some(host) = self.living_runners().next() {
            return Err(format!("{} is alive although its parent is not", host.name));
        }
        self.check_connections()
    }

    fn check_connections(&mut self) -> Result<(), String> {
        let network = self.network.lock().expect("nothing panics with the lock");
        let open = network.open_connections();
        drop(network);
        if !open.is_empty() {
            return Err(format!("these connections are left: {open:?}"));
        }
        for relay in 0..self.scenario.relays {
            let left = relays::leftovers(&self.read_metrics(relay));
            if !left.is_empty() {
                return Err(format!("the relay {relay} has not forgotten everything: {left:?}"));
            }
        }
        Ok(())
    }

    /// There are never more runners than the pool may have.
    fn check_runners(&self) -> Result<(), String> {
        let alive = self.living_runners().count();
        if self.platform_has_failed || alive <= self.scenario.max_runners as usize {
            return Ok(());
        }
        Err(format!("at {:?}: {alive} runners are alive", self.now))
    }

    fn living_runners(&self) -> impl Iterator<Item = &Host> {
        let runners = self.hosts.iter().filter(|(host, _)| self.runners.contains_key(*host));
        runners.map(|(_, host)| host).filter(|host| host.is_alive())
    }

    fn check_limit(&self, limit: Time, what: &str) -> Result<(), String> {
        if self.now < limit {
            return Ok(());
        }
        let alive = self.hosts.values().filter(|host| host.is_alive());
        let alive: Vec<_> = alive.map(|host| &host.name).collect();
        Err(format!("at {:?}: {what}; alive: {alive:?}", self.now))
    }

    /// Lets this time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets the shortest latency pass.
    fn step(&mut self) {
        let end = self.now + self.scenario.network.latency;
        trace::set_log_time(self.now);
        let mut ended = Vec::new();
        for (address, host) in &mut self.hosts {
            if host.run_until(end) {
                ended.push(*address);
            }
        }
        self.now = end;
        ended.into_iter().for_each(|address| self.process_ended(address));
        for request in self.platform.take_requests() {
            match request {
                Request::Boot(instance, parent) => {
                    self.later(BOOT_TIME, Task::Boot(instance, parent));
                }
                Request::Stop(instance) => self.later(100..1_000, Task::Stop(instance)),
            }
        }
        while let Some(first) = self.agenda.first_entry()
            && first.key().0 <= self.now
        {
            let task = first.remove();
            self.carry_out(task);
        }
    }

    fn later(&mut self, after_ms: std::ops::Range<u64>, task: Task) {
        let after = Duration::from_millis(self.random(after_ms));
        self.at(self.now + after, task);
    }

    pub(crate) fn at(&mut self, at: Time, task: Task) {
        self.last_task += 1;
        self.agenda.insert((at, self.last_task), task);
    }

    pub(crate) fn random(&self, range: std::ops::Range<u64>) -> u64 {
        self.network.lock().expect("nothing panics with the lock").random.random_range(range)
    }

    fn carry_out(&mut self, task: Task) {
        match task {
            Task::Boot(instance, parent) => self.start_runner(instance, *parent),
            Task::Stop(instance) => {
                // An instance that has not started yet never will.
                self.agenda.retain(
                    |_, task| !matches!(task, Task::Boot(booting, _) if *booting == instance),
                );
                match self.host_of(&instance) {
                    Some(address) if self.hosts[&address].is_alive() => self.kill_runner(address),
                    _ => self.platform.report_death(&instance),
                }
            }
            Task::ReportDeath(instance) => self.platform.report_death(&instance),
            Task::Repair(repair) => repair.carry_out(self),
        }
    }

    fn host_of(&self, instance: &Instance) -> Option<IpAddr> {
        self.runners.iter().find(|(_, runner)| runner.instance == *instance).map(|(host, _)| *host)
    }

    fn start_host(
        &mut self,
        name: String,
        address: IpAddr,
        main: impl FnOnce(HostNetwork) -> crate::host::Main,
    ) {
        let host = Host::start(name, address, &self.network, self.now, main);
        self.hosts.insert(address, host);
    }

    fn start_parent(&mut self) {
        let (scenario, platform) = (self.scenario.clone(), self.platform.clone());
        let (ledger, contact) = (self.ledger.clone(), self.contact.clone());
        self.start_host("the parent".to_owned(), PARENT, |network| {
            Box::pin(parent::run(scenario, platform, ledger, network, contact))
        });
    }

    fn start_strangers(&mut self) {
        let (scenario, ledger) = (self.scenario.clone(), self.ledger.clone());
        self.start_host("the strangers".to_owned(), STRANGERS, |network| {
            Box::pin(strangers::run(scenario, ledger, network))
        });
    }

    pub(crate) fn start_relay(&mut self, relay: u8) {
        let stopper = SharedStopper::default();
        self.stoppers.insert(relay, stopper.clone());
        let has_own_address = self.scenario.seed.is_multiple_of(2);
        let has_tls = self.scenario.has_tls;
        self.start_host(format!("relay {relay}"), relays::address(relay), |network| {
            Box::pin(relays::run(relay, has_own_address, has_tls, stopper, network))
        });
    }

    fn start_runner(&mut self, instance: Instance, parent: FlameParent) {
        self.started_runners += 1;
        let [high, low] = self.started_runners.to_be_bytes();
        let address = Ipv4Addr::new(10, 1, high, low).into();
        let (signals, receiver) = mpsc::unbounded_channel();
        let name = format!("runner {}", self.started_runners);
        self.runners.insert(address, RunnerProcess { instance: instance.clone(), signals });
        self.start_host(name, address, |_| {
            Box::pin(backend::run_runner(instance, parent, receiver))
        });
    }

    fn read_metrics(&mut self, relay: u8) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let address = Ipv4Addr::new(10, 2, 0, relay + 1).into();
        let (read, has_tls) = (text.clone(), self.scenario.has_tls);
        self.start_host("a reader of metrics".to_owned(), address, |network| {
            Box::pin(relays::read_metrics(relay, has_tls, read, network))
        });
        self.pass(Duration::from_secs(5));
        let text = text.lock().expect("nothing panics with the lock");
        text.clone()
    }

    /// Kills the process of a runner.
    pub(crate) fn kill_runner(&mut self, address: IpAddr) {
        if let Some(host) = self.hosts.get_mut(&address) {
            host.kill(self.now);
            self.process_ended(address);
        }
    }

    /// Switches the machine of a runner off.
    pub(crate) fn switch_off_runner(&mut self, address: IpAddr) {
        if let Some(host) = self.hosts.get_mut(&address) {
            host.switch_off(self.now);
            self.process_ended(address);
        }
    }

    /// The platform reports the death of an instance some time later.
    fn process_ended(&mut self, address: IpAddr) {
        if let Some(runner) = self.runners.get(&address) {
            let instance = runner.instance.clone();
            self.later(20..3_000, Task::ReportDeath(instance));
        }
    }
}
