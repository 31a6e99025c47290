use super::*;

mod histories;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
const SHUTDOWN: Duration = Duration::from_secs(5);
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FAILSAFE: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config {
        failsafe: FAILSAFE,
        reconnect_timeout: RECONNECT_TIMEOUT,
        idle: Some(IDLE),
        ask_predicate: false,
        max_lifetime: None,
        host_deadline: None,
        shutdown: SHUTDOWN,
        after_signal: None,
        single_use: false,
    }
}

/// A terminator with a clock that the test moves.
struct TestRunner {
    start: Instant,
    now: Instant,
    terminator: Terminator,
}

impl TestRunner {
    #[expect(clippy::disallowed_methods, reason = "any instant will do: the test moves the time")]
    fn booting(config: impl FnOnce(Instant) -> Config) -> Self {
        let start = Instant::now();
        Self { start, now: start, terminator: Terminator::new(start, config(start)) }
    }

    fn serving(config: Config) -> Self {
        let mut runner = Self::booting(|_| config);
        assert_eq!(runner.on(Event::Connected), []);
        runner
    }

    /// The actions that follow at once from `event`.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.terminator.handle(self.now, event);
        self.actions()
    }

    fn all(&mut self, events: &[Event]) -> Vec<Action> {
        events.iter().flat_map(|event| self.on(*event)).collect()
    }

    /// The actions that follow when `time` passes, timer by timer.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(due) = self.terminator.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.terminator.handle_timeout(self.now);
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.terminator.poll_action()).collect()
    }

    /// When the next timer is due, counted from the start.
    fn due(&self) -> Option<Duration> {
        self.terminator.poll_timeout().map(|due| due - self.start)
    }
}

fn propose(idle_for: Duration) -> Vec<Action> {
    vec![Action::ProposeIdle { idle_for }]
}

fn drains(reason: EndReason) -> Vec<Action> {
    vec![Action::StopAccepting, Action::AnnounceDraining(reason)]
}

/// The runner drains on its own account, and serves until the parent confirms.
fn announces_drain(reason: EndReason) -> Vec<Action> {
    vec![Action::AnnounceDraining(reason)]
}

/// The window is over with work in flight, and the parent has not confirmed.
fn aborts_and_leaves(reason: EndReason) -> Vec<Action> {
    let abort = vec![Action::StopAccepting, Action::FailRemaining];
    [abort, leaves(reason, EXIT_WORK_ABORTED)].concat()
}

fn leaves(reason: EndReason, code: i32) -> Vec<Action> {
    vec![Action::SayGoodbye(reason), Action::Exit { code, reason }]
}

fn drains_and_leaves(reason: EndReason) -> Vec<Action> {
    [drains(reason), leaves(reason, EXIT_OK)].concat()
}

const STAY: Event = Event::StayUp { again_in: None };
const DRAIN: Event = Event::DrainRequested { within: None };

// Connecting

#[test]
fn a_runner_that_never_reaches_its_parent_ends_at_the_failsafe() {
    let mut runner = TestRunner::booting(|_| config());
    assert_eq!(runner.wait(FAILSAFE - SECOND), []);
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.wait(SECOND), [end]);
    assert_eq!(runner.terminator.phase, TerminatorPhase::Gone);
}

#[test]
fn a_failed_attempt_to_connect_does_not_postpone_the_failsafe() {
    let mut runner = TestRunner::booting(|_| config());
    runner.wait(SECOND * 15);
    assert_eq!(runner.on(Event::Disconnected), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
}

#[test]
fn a_rejected_runner_ends_at_once() {
    let mut runner = TestRunner::booting(|_| config());
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}

#[test]
fn a_connected_runner_has_no_failsafe() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_signal_before_the_first_connection_ends_the_runner_at_once() {
    let mut runner = TestRunner::booting(|_| config());
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.on(Event::Signal(15)), [end]);
}

#[test]
fn after_its_hello_a_runner_that_got_a_signal_asks_its_parent_before_it_ends() {
    let mut runner = TestRunner::booting(|_| config());
    assert_eq!(runner.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(runner.on(Event::Connected), announces_drain(EndReason::Signal(15)));
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_hello_without_an_answer_delays_a_signal_for_one_window_at_most() {
    let mut runner = TestRunner::booting(|_| config());
    runner.all(&[Event::HelloSent, Event::Signal(15)]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.wait(SHUTDOWN), [Action::StopAccepting, end]);
}

#[test]
fn a_signal_ends_a_runner_that_is_offered_its_parents_executable_at_once() {
    let end = || Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    let mut before = TestRunner::booting(|_| config());
    assert_eq!(before.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(before.on(Event::CodeOffered), [end()]);
    let mut while_it_fetches = TestRunner::booting(|_| config());
    assert_eq!(while_it_fetches.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(while_it_fetches.on(Event::Signal(15)), [end()]);
}

#[test]
fn an_offer_of_code_does_not_postpone_the_failsafe_and_is_ignored_once_the_runner_serves() {
    let mut runner = TestRunner::booting(|_| config());
    runner.wait(SECOND);
    assert_eq!(runner.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
    let mut serving = TestRunner::serving(config());
    assert_eq!(serving.on(Event::CodeOffered), []);
    assert_eq!(serving.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
}

// The parent

#[test]
fn a_parent_lost_beyond_the_reconnect_timeout_aborts_calls_and_ends_the_runner() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.wait(RECONNECT_TIMEOUT), [Action::FailRemaining, end]);
}

#[test]
fn a_parent_that_reconnects_in_time_finds_its_calls_running() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    assert_eq!(runner.wait(RECONNECT_TIMEOUT - SECOND), []);
    assert_eq!(runner.on(Event::Connected), []);
    assert_eq!(runner.wait(RECONNECT_TIMEOUT * 10), []);
    assert_eq!(runner.terminator.calls, 1);
}

#[test]
fn a_second_report_of_the_same_loss_does_not_restart_the_reconnect_timeout() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    runner.on(Event::Disconnected);
    runner.wait(SECOND);
    runner.on(Event::Disconnected);
    assert_eq!(runner.due(), Some(RECONNECT_TIMEOUT));
}

#[test]
fn a_parent_that_says_goodbye_ends_the_runner_at_once() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.on(Event::LinkClosed), [Action::FailRemaining, end]);
}

#[test]
fn a_drain_that_the_parent_requests_lets_calls_finish() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn calls_that_outlast_the_window_are_failed_before_the_goodbye() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN]);
    let end = leaves(EndReason::DrainRequested, EXIT_WORK_ABORTED);
    assert_eq!(runner.wait(SHUTDOWN), [vec![Action::FailRemaining], end].concat());
}

#[test]
fn the_parents_window_applies_up_to_the_configured_limit() {
    let window = |within| {
        let mut runner = TestRunner::serving(config());
        runner.all(&[Event::CallStarted, Event::DrainRequested { within: Some(within) }]);
        runner.due()
    };
    assert_eq!(window(SECOND), Some(SECOND));
    assert_eq!(window(SHUTDOWN * 9), Some(SHUTDOWN));
}

#[test]
fn a_second_drain_can_only_shorten_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    assert_eq!(runner.on(DRAIN), []);
    assert_eq!(runner.due(), Some(SHUTDOWN));
    assert_eq!(runner.on(Event::DrainRequested { within: Some(SECOND) }), []);
    assert_eq!(runner.due(), Some(SECOND * 2));
}

#[test]
fn a_draining_runner_waits_for_a_lost_parent_to_receive_its_last_answers() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected]);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.on(Event::Connected), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_does_not_wait_for_a_lost_parent_beyond_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    assert_eq!(runner.wait(SHUTDOWN), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_whose_parent_is_gone_says_no_goodbye() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::DrainRequested };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}

// Idle

#[test]
fn an_idle_runner_proposes_to_end_and_ends_when_the_parent_agrees() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
    assert_eq!(runner.on(DRAIN), drains_and_leaves(EndReason::Idle));
}

#[test]
fn an_idle_runner_never_ends_without_consent() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(
        runner.wait(IDLE * 1000),
        propose(IDLE),
        "one proposal, and no other before its answer"
    );
    assert_eq!(runner.terminator.phase, TerminatorPhase::Serving);
}

#[test]
fn a_runner_told_to_stay_proposes_again_after_the_idle_limit() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(STAY);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE * 2));
}

#[test]
fn a_runner_told_to_stay_proposes_again_at_the_time_that_the_parent_set() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(Event::StayUp { again_in: Some(SECOND * 3) });
    assert_eq!(runner.due(), Some(IDLE + SECOND * 3));
}

#[test]
fn a_parent_that_allows_another_proposal_at_once_is_not_asked_in_a_busy_loop() {
    let mut runner = TestRunner::serving(Config { idle: Some(Duration::ZERO), ..config() });
    assert_eq!(runner.wait(Duration::ZERO).len(), 1);
    for again_in in [None, Some(Duration::ZERO)] {
        assert_eq!(runner.on(Event::StayUp { again_in }), []);
        assert_eq!(runner.wait(Duration::from_millis(99)), []);
        assert_eq!(runner.wait(Duration::from_millis(1)).len(), 1);
    }
}

#[test]
fn a_call_restarts_the_idle_timer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE - SECOND);
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
}

#[test]
fn flame_semantics_a_held_value_or_a_placed_child_keeps_the_runner() {
    let mut runner = TestRunner::serving(config());
    // The call of a held value ends only when the parent has dropped its handles.
    runner.all(&[Event::CallStarted, Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE), propose(IDLE));
}

#[test]
fn a_runner_without_an_idle_limit_never_proposes() {
    let mut runner = TestRunner::serving(Config { idle: None, ..config() });
    assert_eq!(runner.wait(IDLE * 1000), []);
}

#[test]
fn a_proposal_is_not_made_while_the_link_is_down() {
    let mut runner = TestRunner::serving(Config { reconnect_timeout: IDLE * 9, ..config() });
    runner.on(Event::Disconnected);
    assert_eq!(runner.wait(IDLE * 2), []);
    runner.on(Event::Connected);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 2));
}

// The race of a call against the idle drain

#[test]
fn flame_defect_08_a_call_that_arrives_while_idle_is_proposed_is_served() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, STAY]), []);
    assert_eq!(runner.wait(IDLE * 3), []);
    assert_eq!((runner.terminator.phase, runner.terminator.calls), (TerminatorPhase::Serving, 1));
}

#[test]
fn flame_defect_08_a_drain_that_crosses_a_call_lets_it_finish() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.due(), Some(IDLE + SHUTDOWN), "as any other drain");
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_withdrawn_proposal_is_not_followed_by_another_before_its_answer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    assert_eq!(runner.wait(IDLE * 3), [], "the first proposal is still open");
    runner.on(STAY);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 3));
    // This proposal was not withdrawn: its answer has its usual effect.
    runner.on(STAY);
    assert_eq!(runner.due(), Some(IDLE * 5));
}

#[test]
fn the_answer_to_a_withdrawn_proposal_does_not_bring_the_next_one_forward() {
    let mut runner = TestRunner::serving(config());
    runner.wait(IDLE);
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    runner.on(Event::StayUp { again_in: Some(SECOND) });
    assert_eq!(runner.due(), Some(IDLE * 2));
}

#[test]
fn answers_without_a_question_are_ignored() {
    let mut runner = TestRunner::serving(config());
    let answers = [STAY, Event::PredicateSays(true)];
    assert_eq!(runner.all(&answers), []);
    assert_eq!(runner.due(), Some(IDLE));
}

#[test]
fn flame_defect_09_an_end_without_a_start_is_ignored() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallEnded, Event::CallStarted]);
    assert_eq!(runner.terminator.calls, 1);
}

#[test]
fn an_end_without_a_start_does_not_restart_the_idle_timer() {
    let mut runner = TestRunner::serving(config());
    runner.wait(SECOND);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.due(), Some(IDLE));
}

// The predicate

fn with_predicate() -> TestRunner {
    TestRunner::serving(Config { ask_predicate: true, ..config() })
}

#[test]
fn the_predicate_is_asked_before_the_parent() {
    let mut runner = with_predicate();
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
    assert_eq!(runner.on(Event::PredicateSays(true)), propose(IDLE));
}

#[test]
fn flame_semantics_a_predicate_that_says_no_is_asked_again_after_the_idle_limit() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    assert_eq!(runner.on(Event::PredicateSays(false)), []);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), [Action::AskPredicate]);
}

#[test]
fn a_call_makes_the_predicates_consent_out_of_date() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
    // The same if the call has ended before the answer.
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
}

#[test]
fn a_predicate_is_not_asked_twice_at_once() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    assert_eq!(runner.wait(IDLE * 9), []);
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    assert_eq!(runner.wait(IDLE * 9), []);
}

#[test]
fn a_predicate_that_answers_a_draining_runner_is_ignored() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.all(&[Event::Disconnected, Event::Signal(15)]);
    assert_eq!(
        runner.terminator.phase,
        TerminatorPhase::Draining,
        "the runner waits for its parent"
    );
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
}

// Single use

fn single_use() -> TestRunner {
    single_use_with(config())
}

fn single_use_with(config: Config) -> TestRunner {
    TestRunner::serving(Config { single_use: true, ..config })
}

#[test]
fn flame_defect_08_a_single_use_runner_takes_one_call_and_ends() {
    let mut runner = single_use();
    assert_eq!(runner.on(Event::CallStarted), [Action::StopAccepting]);
    let end =
        [vec![Action::AnnounceDraining(EndReason::SingleUse)], leaves(EndReason::SingleUse, 0)];
    assert_eq!(runner.on(Event::CallEnded), end.concat());
}

#[test]
fn a_single_use_runner_has_no_window_for_its_call() {
    let mut runner = single_use();
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(SHUTDOWN * 100), []);
}

#[test]
fn new_calls_are_rejected_once_only() {
    let mut runner = single_use();
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), [Action::AnnounceDraining(EndReason::DrainRequested)]);
}

// Lifetime and the host's deadline

#[test]
fn a_runner_drains_at_the_end_of_its_lifetime() {
    let mut runner = TestRunner::serving(Config { max_lifetime: Some(SECOND * 60), ..config() });
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(SECOND * 60), announces_drain(EndReason::Lifetime));
    assert_eq!(runner.wait(SHUTDOWN), aborts_and_leaves(EndReason::Lifetime));
}

#[test]
fn a_lifetime_also_ends_a_drain_that_waits_for_its_parent() {
    let (max_lifetime, reconnect_timeout) = (Some(SECOND * 60), SECOND * 90);
    let mut runner = single_use_with(Config { max_lifetime, reconnect_timeout, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected, Event::CallEnded]);
    let end = leaves(EndReason::Lifetime, EXIT_OK);
    assert_eq!(runner.wait(SECOND * 60 + SHUTDOWN), end);
}

#[test]
fn a_runner_drains_one_window_before_its_hosts_deadline_and_is_gone_by_then() {
    let deadline = SECOND * 100;
    let mut runner = TestRunner::booting(|now| Config {
        host_deadline: Some(now + deadline),
        idle: None,
        ..config()
    });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(deadline - SHUTDOWN));
    assert_eq!(runner.wait(deadline - SHUTDOWN), announces_drain(EndReason::HostDeadline));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.wait(SECOND), aborts_and_leaves(EndReason::HostDeadline));
    assert_eq!(runner.now - runner.start, deadline);
}

#[test]
fn a_drain_shortly_before_the_hosts_deadline_has_the_shorter_window() {
    let mut runner =
        TestRunner::booting(|now| Config { host_deadline: Some(now + SECOND * 100), ..config() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    runner.wait(SECOND * 94);
    runner.on(Event::Signal(15));
    assert_eq!(runner.wait(SECOND * 6), aborts_and_leaves(EndReason::Signal(15)));
}

#[test]
fn a_host_that_lives_for_less_than_the_window_still_serves_for_half_of_its_life() {
    let mut runner =
        TestRunner::booting(|now| Config { host_deadline: Some(now + SECOND * 4), ..config() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(SECOND * 2));
    runner.wait(SECOND * 4);
    assert_eq!(runner.terminator.phase, TerminatorPhase::Gone);
}

#[test]
fn limits_beyond_the_clock_are_no_limits() {
    let config = Config {
        failsafe: Duration::MAX,
        reconnect_timeout: Duration::MAX,
        idle: Some(Duration::MAX),
        max_lifetime: Some(Duration::MAX),
        shutdown: Duration::MAX,
        ..config()
    };
    let mut runner = TestRunner::booting(|_| config);
    runner.all(&[Event::Connected, Event::CallStarted, Event::Signal(15), Event::Disconnected]);
    assert_eq!(runner.due(), None);
}

// Signals

#[test]
fn a_signal_drains_within_the_window() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
    assert_eq!(runner.on(DRAIN), [Action::StopAccepting]);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::Signal(15), EXIT_OK));
}

#[test]
fn a_platform_that_kills_soon_after_its_signal_can_only_shorten_the_window() {
    for (after_signal, window) in [(SECOND * 3, SECOND * 3), (SECOND * 90, SHUTDOWN)] {
        let mut runner =
            TestRunner::serving(Config { after_signal: Some(after_signal), ..config() });
        runner.on(Event::CallStarted);
        runner.on(Event::Signal(15));
        assert_eq!(runner.wait(window - SECOND), []);
        assert_eq!(runner.wait(SECOND), aborts_and_leaves(EndReason::Signal(15)));
    }
}

#[test]
fn a_signal_during_a_drain_shortens_its_window_where_the_platform_kills_soon() {
    let mut runner = TestRunner::serving(Config { after_signal: Some(SECOND), ..config() });
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    runner.on(Event::Signal(15));
    let end = [vec![Action::FailRemaining], leaves(EndReason::Signal(15), EXIT_WORK_ABORTED)];
    assert_eq!(runner.wait(SECOND), end.concat());
}

#[test]
fn a_call_that_crosses_a_signal_is_served() {
    let mut runner = TestRunner::serving(config());
    assert_eq!(runner.on(Event::Signal(15)), announces_drain(EndReason::Signal(15)));
    assert_eq!(
        runner.all(&[Event::CallStarted, Event::CallEnded]),
        [],
        "more calls may be on their way"
    );
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_parent_that_never_confirms_the_drain_delays_the_end_for_one_window_at_most() {
    let mut runner = TestRunner::serving(config());
    runner.on(Event::Signal(15));
    let end = [vec![Action::StopAccepting], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.wait(SHUTDOWN), end.concat());
}

#[test]
fn a_second_signal_ends_the_runner_at_once() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::CallStarted, Event::Signal(15)]);
    let end = Action::Exit { code: 130, reason: EndReason::Signal(2) };
    assert_eq!(runner.on(Event::Signal(2)), [Action::FailRemaining, end]);
}

#[test]
fn a_signal_gives_a_window_to_a_drain_without_one() {
    let reconnect_timeout = SECOND * 90;
    let mut runner = single_use_with(Config { reconnect_timeout, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected, Event::CallEnded]);
    assert_eq!(runner.wait(SECOND), [], "the drain waits for the parent");
    assert_eq!(runner.on(Event::Signal(15)), []);
    assert_eq!(runner.wait(SHUTDOWN), leaves(EndReason::Signal(15), EXIT_OK));
}

// The end

#[test]
fn nothing_follows_the_exit() {
    let mut runner = TestRunner::serving(config());
    runner.all(&[Event::Signal(15), DRAIN]);
    let events = [Event::Signal(15), Event::CallStarted, DRAIN, Event::LinkClosed];
    assert_eq!(runner.all(&events), []);
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_process_that_was_stopped_across_several_timers_ends_once() {
    let max_lifetime = Some(SECOND * 60);
    let mut runner = TestRunner::serving(Config { max_lifetime, ..config() });
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    runner.now += SECOND * 1000;
    runner.terminator.handle_timeout(runner.now);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.actions(), [Action::FailRemaining, end]);
}

#[test]
fn an_early_timeout_is_harmless() {
    let mut runner = TestRunner::serving(config());
    runner.terminator.handle_timeout(runner.now);
    assert_eq!(runner.actions(), []);
    assert_eq!(runner.due(), Some(IDLE));
}
