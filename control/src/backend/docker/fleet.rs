//! Which containers of a pool live, and which must be looked after: pure.
//!
//! ```text
//!  begin ──▶ Booting ── started ──▶ Running ── exited, listed ──▶ Ending ── forget ──▶ (unknown)
//!               │ exited: remembered    └───────── stop ────────────▶ │
//!               └──────────────── forget: the boot has failed ────────┘
//! ```
//!
//! Events arrive from one stream, which may break and miss some. When it is open again, a list of
//! all containers shows what was missed. A list is older than containers that started after it was
//! asked for, so each list has the number of its request.

use std::collections::HashMap;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Fleet {
    containers: HashMap<String, Phase>,
    /// The number of the latest request for a list.
    requests: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is being created and started.
    Booting { exited: Option<Exit> },
    /// It has started, after this many requests for a list.
    Running { requests: u64 },
    /// It is being removed, and its death will be reported. An event may say how it has ended.
    Ending { exit: Option<Exit> },
}

/// What an event says of the end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Its process has ended, with this code.
    Died(Option<i32>),
    /// It was removed.
    Removed,
}

/// A request for a list of all containers of the pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListRequest(u64);

impl Fleet {
    /// A boot has begun.
    pub(super) fn begin(&mut self, name: &str) {
        self.containers.insert(name.to_owned(), Phase::Booting { exited: None });
    }

    /// The container has started. Returns its exit if it has exited already: then the caller must
    /// report its death.
    pub(super) fn started(&mut self, name: &str) -> Option<Exit> {
        let phase = self.containers.get_mut(name)?;
        match *phase {
            Phase::Booting { exited: Some(exit) } => {
                *phase = Phase::Ending { exit: Some(exit) };
                Some(exit)
            }
            _ => {
                *phase = Phase::Running { requests: self.requests };
                None
            }
        }
    }

    /// The engine says that the container has exited. Returns whether the caller must report its
    /// death.
    pub(super) fn exited(&mut self, name: &str, exit: Exit) -> bool {
        match self.containers.get_mut(name) {
            Some(Phase::Booting { exited }) => {
                *exited = Some(exit);
                false
            }
            Some(phase @ Phase::Running { .. }) => {
                *phase = Phase::Ending { exit: Some(exit) };
                true
            }
            Some(Phase::Ending { exit: known }) => {
                known.get_or_insert(exit);
                false
            }
            None => false,
        }
    }

    /// A list of all containers is about to be requested.
    pub(super) fn request_list(&mut self) -> ListRequest {
        self.requests += 1;
        ListRequest(self.requests)
    }

    /// The list has arrived. Returns the containers that have ended without an event: the caller
    /// must report their deaths.
    pub(super) fn listed(
        &mut self,
        ListRequest(asked): ListRequest,
        runs: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut ended = Vec::new();
        for (name, phase) in &mut self.containers {
            if matches!(phase, Phase::Running { requests } if *requests < asked) && !runs(name) {
                *phase = Phase::Ending { exit: None };
                ended.push(name.clone());
            }
        }
        ended
    }

    /// The container is to be stopped. Returns whether the caller must do it: it runs, and nobody
    /// is ending it.
    pub(super) fn stop(&mut self, name: &str) -> bool {
        match self.containers.get_mut(name) {
            Some(phase @ Phase::Running { .. }) => {
                *phase = Phase::Ending { exit: None };
                true
            }
            // The boot removes it, once the answer to the start has come.
            Some(Phase::Booting { exited }) => {
                exited.get_or_insert(Exit::Died(None));
                false
            }
            Some(Phase::Ending { .. }) | None => false,
        }
    }

    /// What an event has said of the end of a container that is being removed.
    pub(super) fn exit_while_ending(&self, name: &str) -> Option<Exit> {
        match self.containers.get(name)? {
            Phase::Ending { exit } => *exit,
            Phase::Booting { .. } | Phase::Running { .. } => None,
        }
    }

    /// The container could not be stopped, and runs on.
    pub(super) fn stop_failed(&mut self, name: &str) {
        if let Some(phase @ Phase::Ending { .. }) = self.containers.get_mut(name) {
            // A later list shows whether it has ended meanwhile.
            *phase = Phase::Running { requests: 0 };
        }
    }

    /// The container's death was reported, or it does not exist after all.
    pub(super) fn forget(&mut self, name: &str) {
        self.containers.remove(name);
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.containers.contains_key(name)
    }

    /// All containers that somebody has to remove.
    pub(super) fn names(&self) -> Vec<String> {
        self.containers.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn running(name: &str) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.begin(name);
        assert_eq!(fleet.started(name), None);
        fleet
    }

    #[test]
    fn an_exit_is_reported_once() {
        let mut fleet = running("a");
        assert!(fleet.exited("a", Exit::Died(Some(7))));
        assert!(!fleet.exited("a", Exit::Died(Some(7))), "an event that is repeated");
        fleet.forget("a");
        assert!(!fleet.exited("a", Exit::Died(Some(7))) && !fleet.knows("a"));
        assert!(!fleet.exited("b", Exit::Removed), "a container of somebody else");
    }

    #[test]
    fn an_event_during_a_stop_says_how_the_container_has_ended() {
        let mut fleet = running("a");
        assert!(fleet.stop("a"));
        assert_eq!(fleet.exit_while_ending("a"), None, "no event has come");
        assert!(!fleet.exited("a", Exit::Died(Some(7))));
        assert!(!fleet.exited("a", Exit::Removed), "the removal follows the death");
        assert_eq!(fleet.exit_while_ending("a"), Some(Exit::Died(Some(7))));
    }

    #[test]
    fn an_exit_before_the_answer_to_the_start_is_remembered() {
        let mut fleet = Fleet::default();
        fleet.begin("a");
        assert!(!fleet.exited("a", Exit::Died(Some(1))));
        assert_eq!(fleet.started("a"), Some(Exit::Died(Some(1))));
        assert!(!fleet.exited("a", Exit::Died(Some(1))));
    }

    #[test]
    fn a_list_shows_exits_whose_events_were_missed() {
        let mut fleet = running("a");
        let asked = fleet.request_list();
        assert_eq!(fleet.listed(asked, |_| true), [""; 0]);
        let asked = fleet.request_list();
        assert_eq!(fleet.listed(asked, |_| false), ["a"]);
        let asked = fleet.request_list();
        assert_eq!(fleet.listed(asked, |_| false), [""; 0]);
    }

    #[test]
    fn a_list_that_is_older_than_a_container_says_nothing_about_it() {
        let mut fleet = Fleet::default();
        fleet.begin("a");
        let asked = fleet.request_list();
        assert_eq!(fleet.listed(asked, |_| false), [""; 0], "it is not there yet");
        let asked = fleet.request_list();
        assert_eq!(fleet.started("a"), None);
        assert_eq!(fleet.listed(asked, |_| false), [""; 0], "it was not there yet");
        let asked = fleet.request_list();
        assert_eq!(fleet.listed(asked, |_| false), ["a"]);
    }

    #[test]
    fn a_stop_that_fails_can_be_repeated() {
        let mut fleet = running("a");
        assert!(fleet.stop("a"));
        assert!(!fleet.stop("a"), "somebody is at it");
        fleet.stop_failed("a");
        assert!(fleet.stop("a"));
        assert!(!fleet.stop("unknown"));
    }

    #[test]
    fn a_boot_that_has_failed_leaves_nothing() {
        let mut fleet = Fleet::default();
        fleet.begin("a");
        assert_eq!(fleet.names(), ["a"]);
        fleet.forget("a");
        assert_eq!(fleet.names(), [""; 0]);
        assert_eq!(fleet.started("a"), None);
    }

    proptest! {
        /// Whatever the order of events and lists: each container that started and does not run is
        /// reported exactly once, at the latest by the next list.
        #[test]
        fn each_death_is_reported_once(steps in prop::collection::vec((0..5_u8, 0..3_usize), 0..60)) {
            let names = ["a", "b", "c"];
            let mut fleet = Fleet::default();
            let (mut booted, mut runs, mut reported) = ([false; 3], [false; 3], [0; 3]);
            let mut asked = None;
            for (step, which) in steps {
                let name = names[which];
                match step {
                    0 if !booted[which] => {
                        fleet.begin(name);
                        booted[which] = true;
                        runs[which] = true;
                        if fleet.started(name).is_some() {
                            reported[which] += 1;
                        }
                    }
                    // The event of an exit may be missed.
                    1 => runs[which] = false,
                    2 if booted[which] && !runs[which] => {
                        reported[which] += u32::from(fleet.exited(name, Exit::Removed));
                    }
                    3 => asked = Some((fleet.request_list(), runs)),
                    4 => if let Some((request, then)) = asked.take() {
                        let runs = |name: &str| names.iter().position(|it| *it == name).is_some_and(|at| then[at]);
                        for ended in fleet.listed(request, runs) {
                            let at = names.iter().position(|it| *it == ended).unwrap();
                            reported[at] += 1;
                        }
                    },
                    _ => {}
                }
                for at in 0..3 {
                    prop_assert!(reported[at] <= u32::from(booted[at] && !runs[at]), "{name}");
                }
            }
            let request = fleet.request_list();
            for ended in fleet.listed(request, |name| names.iter().position(|it| *it == name).is_some_and(|at| runs[at])) {
                reported[names.iter().position(|it| *it == ended).unwrap()] += 1;
            }
            for at in 0..3 {
                prop_assert_eq!(reported[at], u32::from(booted[at] && !runs[at]));
            }
        }
    }
}
