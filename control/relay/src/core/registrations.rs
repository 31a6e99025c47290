//! The registered runners, by ref and by expiry.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use flame_wire::ids::RunnerRef;

use super::ConnectionId;
use super::counts::Counts;

/// The registered runners.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    by_runner: HashMap<RunnerRef, Registration>,
    expiries: BTreeSet<(Instant, RunnerRef)>,
    by_parent: Counts<ConnectionId>,
}

#[derive(Debug)]
pub(super) struct Registration {
    /// The control connection that the registration belongs to.
    pub(super) parent: ConnectionId,
    expires: Instant,
    /// The runner's connections that wait for their parent.
    pub(super) waiting: Vec<ConnectionId>,
}

impl Registrations {
    /// Registers a runner, renews its registration, or moves it to another control connection.
    /// Returns the runner's connections that wait.
    pub(super) fn register(
        &mut self,
        runner: RunnerRef,
        parent: ConnectionId,
        expires: Instant,
    ) -> Vec<ConnectionId> {
        let waiting = self.remove(runner).map(|old| old.waiting).unwrap_or_default();
        self.expiries.insert((expires, runner));
        self.by_parent.add(parent);
        self.by_runner.insert(runner, Registration { parent, expires, waiting: waiting.clone() });
        waiting
    }

    pub(super) fn remove(&mut self, runner: RunnerRef) -> Option<Registration> {
        let registration = self.by_runner.remove(&runner)?;
        self.expiries.remove(&(registration.expires, runner));
        self.by_parent.subtract(&registration.parent);
        Some(registration)
    }

    pub(super) fn get(&self, runner: RunnerRef) -> Option<&Registration> {
        self.by_runner.get(&runner)
    }

    pub(super) fn add_waiting(&mut self, runner: RunnerRef, id: ConnectionId) {
        if let Some(registration) = self.by_runner.get_mut(&runner) {
            registration.waiting.push(id);
        }
    }

    pub(super) fn remove_waiting(&mut self, runner: RunnerRef, id: ConnectionId) {
        if let Some(registration) = self.by_runner.get_mut(&runner) {
            registration.waiting.retain(|&other| other != id);
        }
    }

    /// The registration that expires first.
    pub(super) fn next_expiry(&self) -> Option<(Instant, RunnerRef)> {
        self.expiries.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_runner.len()
    }

    /// How many runners this control connection has registered.
    pub(super) fn of(&self, parent: ConnectionId) -> usize {
        self.by_parent.get(&parent)
    }

    /// The control connection with the most registered runners.
    pub(super) fn most_per_parent(&self) -> Option<(ConnectionId, usize)> {
        self.by_parent.most()
    }
}
