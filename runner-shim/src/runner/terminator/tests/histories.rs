//! Properties that hold for any sequence of events and times.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Happens(Event),
    /// Time passes and the timers fire when they are due.
    Passes(Duration),
    /// Time passes while the process is stopped; then all timers that are due fire at once.
    Stopped(Duration),
}

fn any_config() -> impl Strategy<Value = (Config, Option<Duration>)> {
    let time = || (0_u64..50).prop_map(Duration::from_secs);
    let maybe = || prop::option::of(time());
    let times = (time(), time(), maybe(), maybe(), maybe(), (time(), maybe()));
    (times, any::<bool>(), any::<bool>()).prop_map(
        |(
            (failsafe, reconnect_timeout, idle, max_lifetime, host, windows),
            ask_predicate,
            single_use,
        )| {
            let host_deadline = None;
            let (shutdown, after_signal) = windows;
            let config = Config {
                failsafe,
                reconnect_timeout,
                idle,
                ask_predicate,
                max_lifetime,
                host_deadline,
                shutdown,
                after_signal,
                single_use,
            };
            (config, host)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let time = || (0_u64..20_000).prop_map(Duration::from_millis);
    let event = prop_oneof![
        1 => Just(Event::HelloSent),
        1 => Just(Event::CodeOffered),
        4 => Just(Event::Connected),
        2 => Just(Event::Disconnected),
        4 => Just(Event::CallStarted),
        4 => Just(Event::CallEnded),
        2 => prop::option::of(time()).prop_map(|again_in| Event::StayUp { again_in }),
        2 => prop::option::of(time()).prop_map(|within| Event::DrainRequested { within }),
        2 => any::<bool>().prop_map(Event::PredicateSays),
        1 => (1..32).prop_map(Event::Signal),
    ];
    prop_oneof![
        8 => event.prop_map(Step::Happens),
        1 => Just(Step::Happens(Event::LinkClosed)),
        4 => time().prop_map(Step::Passes),
        1 => time().prop_map(Step::Stopped),
    ]
}

/// Events and actions, in the order in which they happened.
struct History {
    runner: TestRunner,
    entries: Vec<HistoryEntry>,
}

#[derive(Debug)]
enum HistoryEntry {
    Event(Event),
    Action(Action),
}

impl History {
    fn of(config: Config, host: Option<Duration>, steps: Vec<Step>) -> Self {
        let runner = TestRunner::booting(|now| Config {
            host_deadline: host.map(|host| now + host),
            ..config
        });
        let mut history = Self { runner, entries: Vec::new() };
        for step in steps {
            let actions = match step {
                Step::Happens(event) => {
                    history.entries.push(HistoryEntry::Event(event));
                    history.runner.on(event)
                }
                Step::Passes(time) => history.runner.wait(time),
                Step::Stopped(time) => {
                    history.runner.now += time;
                    history.runner.terminator.handle_timeout(history.runner.now);
                    history.runner.actions()
                }
            };
            history.entries.extend(actions.into_iter().map(HistoryEntry::Action));
        }
        history
    }

    /// Lets `time` pass without events.
    fn rest(&mut self, time: Duration) {
        let actions = self.runner.wait(time);
        self.entries.extend(actions.into_iter().map(HistoryEntry::Action));
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.entries.iter().filter_map(|entry| match entry {
            HistoryEntry::Action(action) => Some(action),
            HistoryEntry::Event(_) => None,
        })
    }
}

fn history() -> impl Strategy<Value = (Config, Option<Duration>, Vec<Step>)> {
    (any_config(), prop::collection::vec(step(), 0..60))
        .prop_map(|((config, host), steps)| (config, host, steps))
}

/// The same for a runner that reaches its parent: most of what can go wrong happens afterwards.
fn served_history() -> impl Strategy<Value = (Config, Option<Duration>, Vec<Step>)> {
    history().prop_map(|(config, host, mut steps)| {
        steps.insert(0, Step::Happens(Event::Connected));
        (config, host, steps)
    })
}

fn any_history() -> impl Strategy<Value = (Config, Option<Duration>, Vec<Step>)> {
    prop_oneof![1 => history(), 3 => served_history()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_further_events_the_runner_ends_in_time((config, host, steps) in any_history()) {
        let mut history = History::of(config.clone(), host, steps);
        // Only a runner without a lifetime whose parent is connected may live on.
        let may_stay = config.max_lifetime.is_none()
            && host.is_none()
            && history.runner.terminator.link == LinkState::Up
            && history.runner.terminator.window_ends().is_none();
        let longest = config.failsafe.max(config.reconnect_timeout).max(config.max_lifetime.unwrap_or_default())
            .max(host.unwrap_or_default());
        history.rest(longest + config.shutdown);
        let gone = history.runner.terminator.phase == TerminatorPhase::Gone;
        prop_assert!(gone || may_stay, "{:#?}", history.runner.terminator);
    }

    #[test]
    fn a_runner_exits_at_most_once_and_does_nothing_afterwards((config, host, steps) in any_history()) {
        let mut history = History::of(config, host, steps);
        history.rest(SECOND * 1000);
        let exits = history.actions().filter(|action| matches!(action, Action::Exit { .. })).count();
        let gone = history.runner.terminator.phase == TerminatorPhase::Gone;
        prop_assert_eq!(exits, usize::from(gone));
        if gone {
            let last = history.actions().last();
            prop_assert!(matches!(last, Some(Action::Exit { .. })), "{last:?}");
            prop_assert_eq!(history.runner.due(), None);
        }
    }

    #[test]
    fn a_call_in_flight_is_never_aborted_by_idle((config, _, steps) in served_history()) {
        // Any events except those that may abort a call.
        let aborts_nothing = |step: &Step| {
            let Step::Happens(event) = step else { return true };
            let may_abort = matches!(event, Event::DrainRequested { .. } | Event::Signal(_))
                || matches!(event, Event::Disconnected | Event::LinkClosed);
            !may_abort
        };
        let steps = steps.into_iter().filter(aborts_nothing).collect();
        let mut history = History::of(Config { max_lifetime: None, ..config }, None, steps);
        history.rest(SECOND * 1000);
        let aborted = history.actions().any(|action| *action == Action::FailRemaining);
        prop_assert!(!aborted, "{:#?}", history.entries);
        let gone = history.runner.terminator.phase == TerminatorPhase::Gone;
        prop_assert!(!gone || history.runner.terminator.calls == 0);
    }

    #[test]
    fn a_runner_that_ends_for_idleness_or_single_use_aborts_nothing((config, host, steps) in any_history()) {
        let mut history = History::of(config, host, steps);
        history.rest(SECOND * 1000);
        let aborted = history.actions().any(|action| *action == Action::FailRemaining);
        let ended_idle = history.actions().any(|action| {
            let Action::Exit { reason, .. } = action else { return false };
            matches!(reason, EndReason::Idle | EndReason::SingleUse)
        });
        prop_assert!(!(aborted && ended_idle), "{:#?}", history.entries);
    }

    #[test]
    fn work_in_flight_at_the_exit_was_failed_first((config, host, steps) in any_history()) {
        let mut history = History::of(config, host, steps);
        history.rest(SECOND * 1000);
        if history.runner.terminator.phase == TerminatorPhase::Gone {
            let failed = history.actions().filter(|a| **a == Action::FailRemaining).count();
            prop_assert_eq!(failed, usize::from(history.runner.terminator.calls > 0));
        }
    }

    #[test]
    fn at_most_one_idle_question_is_open((config, host, steps) in any_history()) {
        let history = History::of(config, host, steps);
        let (mut predicate, mut proposal) = (false, false);
        for entry in &history.entries {
            match entry {
                HistoryEntry::Action(Action::AskPredicate) => {
                    prop_assert!(!predicate && !proposal, "{:#?}", history.entries);
                    predicate = true;
                }
                HistoryEntry::Action(Action::ProposeIdle { .. }) => {
                    prop_assert!(!predicate && !proposal, "{:#?}", history.entries);
                    proposal = true;
                }
                HistoryEntry::Event(Event::PredicateSays(_)) => predicate = false,
                HistoryEntry::Event(Event::DrainRequested { .. } | Event::StayUp { .. }) => proposal = false,
                _ => {}
            }
        }
    }

    #[test]
    fn no_idle_question_is_asked_while_work_is_in_flight((config, host, steps) in any_history()) {
        let history = History::of(config, host, steps);
        let mut calls = 0_usize;
        for entry in &history.entries {
            match entry {
                HistoryEntry::Event(Event::CallStarted) => calls += 1,
                HistoryEntry::Event(Event::CallEnded) => calls = calls.saturating_sub(1),
                HistoryEntry::Action(Action::AskPredicate | Action::ProposeIdle { .. }) => {
                    prop_assert_eq!(calls, 0, "{:#?}", history.entries);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_runner_announces_its_drain_and_rejects_calls_once((config, host, steps) in any_history()) {
        let mut history = History::of(config, host, steps);
        history.rest(SECOND * 1000);
        let count = |wanted: fn(&Action) -> bool| history.actions().filter(|a| wanted(a)).count();
        prop_assert!(count(|a| matches!(a, Action::AnnounceDraining(_))) <= 1);
        prop_assert!(count(|a| matches!(a, Action::StopAccepting)) <= 1);
        prop_assert!(count(|a| matches!(a, Action::SayGoodbye(_))) <= 1);
    }

    #[test]
    fn a_runner_is_gone_by_its_hosts_deadline((config, host, steps) in any_history()) {
        let mut history = History::of(config, host, steps);
        if let Some(host) = host {
            let left = (history.runner.start + host).saturating_duration_since(history.runner.now);
            history.rest(left);
            prop_assert_eq!(history.runner.terminator.phase, TerminatorPhase::Gone);
        }
    }
}
