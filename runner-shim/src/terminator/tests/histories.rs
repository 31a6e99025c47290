//! Whatever happens to a runner, in whatever order: what must hold all the same.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Happens(Event),
    /// Time passes and the timers fire when they are due.
    Passes(Duration),
    /// Time passes while the process is stopped; then all due timers fire at once.
    Stopped(Duration),
}

fn limits_of() -> impl Strategy<Value = (Limits, Option<Duration>)> {
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
            let limits = Limits {
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
            (limits, host)
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
        1 => Just(Event::HoldStarted),
        1 => Just(Event::HoldEnded),
        2 => Just(Event::IdleAllowed),
        2 => prop::option::of(time()).prop_map(|again_in| Event::StayUp { again_in }),
        1 => prop::option::of(time()).prop_map(|within| Event::DrainRequested { within }),
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

/// What a history did, in the order in which it did it.
struct History {
    runner: Runner,
    seen: Vec<Seen>,
}

#[derive(Debug)]
enum Seen {
    Event(Event),
    Action(Action),
}

impl History {
    fn of(limits: Limits, host: Option<Duration>, steps: Vec<Step>) -> Self {
        let runner =
            Runner::booting(|now| Limits { host_deadline: host.map(|host| now + host), ..limits });
        let mut history = Self { runner, seen: Vec::new() };
        for step in steps {
            let actions = match step {
                Step::Happens(event) => {
                    history.seen.push(Seen::Event(event));
                    history.runner.on(event)
                }
                Step::Passes(time) => history.runner.wait(time),
                Step::Stopped(time) => {
                    history.runner.now += time;
                    history.runner.terminator.handle_timeout(history.runner.now);
                    history.runner.actions()
                }
            };
            history.seen.extend(actions.into_iter().map(Seen::Action));
        }
        history
    }

    /// Lets the runner alone for `time`.
    fn rest(&mut self, time: Duration) {
        let actions = self.runner.wait(time);
        self.seen.extend(actions.into_iter().map(Seen::Action));
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Action(action) => Some(action),
            Seen::Event(_) => None,
        })
    }
}

fn history() -> impl Strategy<Value = (Limits, Option<Duration>, Vec<Step>)> {
    (limits_of(), prop::collection::vec(step(), 0..60))
        .prop_map(|((limits, host), steps)| (limits, host, steps))
}

/// The same, where the runner reaches its parent: most of what can go wrong does so afterwards.
fn served_history() -> impl Strategy<Value = (Limits, Option<Duration>, Vec<Step>)> {
    history().prop_map(|(limits, host, mut steps)| {
        steps.insert(0, Step::Happens(Event::Connected));
        (limits, host, steps)
    })
}

fn any_history() -> impl Strategy<Value = (Limits, Option<Duration>, Vec<Step>)> {
    prop_oneof![1 => history(), 3 => served_history()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_further_events_it_ends_in_time((limits, host, steps) in any_history()) {
        let mut history = History::of(limits.clone(), host, steps);
        // The one runner that may live on: no lifetime, and its parent is there.
        let may_stay = limits.max_lifetime.is_none()
            && host.is_none()
            && history.runner.terminator.link == LinkState::Up
            && history.runner.terminator.window_ends.is_none();
        let longest = limits.failsafe.max(limits.reconnect_timeout).max(limits.max_lifetime.unwrap_or_default())
            .max(host.unwrap_or_default());
        history.rest(longest + limits.shutdown);
        let gone = history.runner.terminator.phase() == Phase::Gone;
        prop_assert!(gone || may_stay, "{:#?}", history.runner.terminator);
    }

    #[test]
    fn it_exits_at_most_once_and_does_nothing_after((limits, host, steps) in any_history()) {
        let mut history = History::of(limits, host, steps);
        history.rest(SECOND * 1000);
        let exits = history.actions().filter(|action| matches!(action, Action::Exit { .. })).count();
        let gone = history.runner.terminator.phase() == Phase::Gone;
        prop_assert_eq!(exits, usize::from(gone));
        if gone {
            let last = history.actions().last();
            prop_assert!(matches!(last, Some(Action::Exit { .. })), "{last:?}");
            prop_assert_eq!(history.runner.due(), None);
        }
    }

    #[test]
    fn a_call_in_flight_is_never_aborted_by_idle((limits, _, steps) in served_history()) {
        // Everything may happen but what has the right to abort a call.
        let gentle = |step: &Step| {
            let Step::Happens(event) = step else { return true };
            let may_abort = matches!(event, Event::DrainRequested { .. } | Event::Signal(_))
                || matches!(event, Event::Disconnected | Event::LinkClosed);
            !may_abort
        };
        let steps = steps.into_iter().filter(gentle).collect();
        let mut history = History::of(Limits { max_lifetime: None, ..limits }, None, steps);
        history.rest(SECOND * 1000);
        let aborted = history.actions().any(|action| *action == Action::FailRemaining);
        prop_assert!(!aborted, "{:#?}", history.seen);
        let gone = history.runner.terminator.phase() == Phase::Gone;
        prop_assert!(!gone || history.runner.terminator.work() == 0);
    }

    #[test]
    fn an_end_by_idle_or_single_use_aborts_nothing((limits, host, steps) in any_history()) {
        let mut history = History::of(limits, host, steps);
        history.rest(SECOND * 1000);
        let aborted = history.actions().any(|action| *action == Action::FailRemaining);
        let gentle = history.actions().any(|action| {
            let Action::Exit { reason, .. } = action else { return false };
            matches!(reason, EndReason::Idle | EndReason::SingleUse)
        });
        prop_assert!(!(aborted && gentle), "{:#?}", history.seen);
    }

    #[test]
    fn work_in_flight_at_the_exit_was_failed_first((limits, host, steps) in any_history()) {
        let mut history = History::of(limits, host, steps);
        history.rest(SECOND * 1000);
        if history.runner.terminator.phase() == Phase::Gone {
            let failed = history.actions().filter(|a| **a == Action::FailRemaining).count();
            prop_assert_eq!(failed, usize::from(history.runner.terminator.work() > 0));
        }
    }

    #[test]
    fn at_most_one_idle_question_is_open((limits, host, steps) in any_history()) {
        let history = History::of(limits, host, steps);
        let (mut predicate, mut proposal) = (false, false);
        for seen in &history.seen {
            match seen {
                Seen::Action(Action::AskPredicate) => {
                    prop_assert!(!predicate && !proposal, "{:#?}", history.seen);
                    predicate = true;
                }
                Seen::Action(Action::ProposeIdle { .. }) => {
                    prop_assert!(!predicate && !proposal, "{:#?}", history.seen);
                    proposal = true;
                }
                Seen::Event(Event::PredicateSays(_)) => predicate = false,
                Seen::Event(Event::IdleAllowed | Event::StayUp { .. }) => proposal = false,
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_is_asked_while_work_is_in_flight((limits, host, steps) in any_history()) {
        let history = History::of(limits, host, steps);
        let (mut calls, mut holds) = (0_usize, 0_usize);
        for seen in &history.seen {
            match seen {
                Seen::Event(Event::CallStarted) => calls += 1,
                Seen::Event(Event::CallEnded) => calls = calls.saturating_sub(1),
                Seen::Event(Event::HoldStarted) => holds += 1,
                Seen::Event(Event::HoldEnded) => holds = holds.saturating_sub(1),
                Seen::Action(Action::AskPredicate | Action::ProposeIdle { .. }) => {
                    prop_assert_eq!(calls + holds, 0, "{:#?}", history.seen);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn it_announces_its_drain_and_refuses_calls_once((limits, host, steps) in any_history()) {
        let mut history = History::of(limits, host, steps);
        history.rest(SECOND * 1000);
        let count = |wanted: fn(&Action) -> bool| history.actions().filter(|a| wanted(a)).count();
        prop_assert!(count(|a| matches!(a, Action::AnnounceDraining(_))) <= 1);
        prop_assert!(count(|a| matches!(a, Action::RefuseNewCalls)) <= 1);
        prop_assert!(count(|a| matches!(a, Action::SayGoodbye(_))) <= 1);
    }

    #[test]
    fn it_is_gone_by_its_hosts_deadline((limits, host, steps) in any_history()) {
        let mut history = History::of(limits, host, steps);
        if let Some(host) = host {
            let left = (history.runner.start + host).saturating_duration_since(history.runner.now);
            history.rest(left);
            prop_assert_eq!(history.runner.terminator.phase(), Phase::Gone);
        }
    }
}
