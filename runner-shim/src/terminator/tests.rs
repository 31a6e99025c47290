use super::*;

mod histories;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
const SHUTDOWN: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(10);
const FAILSAFE: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    Limits {
        failsafe: FAILSAFE,
        reconnect_timeout: GRACE,
        idle: Some(IDLE),
        ask_predicate: false,
        max_lifetime: None,
        host_deadline: None,
        shutdown: SHUTDOWN,
        after_signal: None,
        single_use: false,
    }
}

/// A terminator with a clock of its own, for tests that read as a table of what happened.
struct Runner {
    start: Instant,
    now: Instant,
    terminator: Terminator,
}

impl Runner {
    #[expect(clippy::disallowed_methods, reason = "any instant will do: time moves by hand")]
    fn booting(limits: impl FnOnce(Instant) -> Limits) -> Self {
        let start = Instant::now();
        Self { start, now: start, terminator: Terminator::new(start, limits(start)) }
    }

    fn serving(limits: Limits) -> Self {
        let mut runner = Self::booting(|_| limits);
        assert_eq!(runner.on(Event::Connected), []);
        runner
    }

    /// What follows at once from `event`.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.terminator.handle(self.now, event);
        self.actions()
    }

    fn all(&mut self, events: &[Event]) -> Vec<Action> {
        events.iter().flat_map(|event| self.on(*event)).collect()
    }

    /// What follows from time alone, timer by timer.
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
    vec![Action::RefuseNewCalls, Action::AnnounceDraining(reason)]
}

/// Of its own account: it serves on until the parent lets it go.
fn asks_to_go(reason: EndReason) -> Vec<Action> {
    vec![Action::AnnounceDraining(reason)]
}

/// The window is over, and the parent has not let it go.
fn leaves_unreleased(reason: EndReason) -> Vec<Action> {
    let abort = vec![Action::RefuseNewCalls, Action::FailRemaining];
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
    let mut runner = Runner::booting(|_| limits());
    assert_eq!(runner.wait(FAILSAFE - SECOND), []);
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.wait(SECOND), [end]);
    assert_eq!(runner.terminator.phase(), Phase::Gone);
}

#[test]
fn a_failed_dial_does_not_put_the_failsafe_off() {
    let mut runner = Runner::booting(|_| limits());
    runner.wait(SECOND * 15);
    assert_eq!(runner.on(Event::Disconnected), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
}

#[test]
fn a_refused_dial_ends_the_runner_at_once() {
    let mut runner = Runner::booting(|_| limits());
    let end = Action::Exit { code: EXIT_NEVER_CONNECTED, reason: EndReason::NeverConnected };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}

#[test]
fn a_connected_runner_has_no_failsafe() {
    let mut runner = Runner::serving(Limits { idle: None, ..limits() });
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_signal_before_the_first_connection_ends_the_runner_at_once() {
    let mut runner = Runner::booting(|_| limits());
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.on(Event::Signal(15)), [end]);
}

#[test]
fn a_signal_while_the_parent_may_already_count_on_the_runner_is_asked_for_there() {
    let mut runner = Runner::booting(|_| limits());
    assert_eq!(runner.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(runner.on(Event::Connected), asks_to_go(EndReason::Signal(15)));
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    let end = [vec![Action::RefuseNewCalls], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_signal_is_not_put_off_beyond_the_window_by_a_hello_without_an_answer() {
    let mut runner = Runner::booting(|_| limits());
    runner.all(&[Event::HelloSent, Event::Signal(15)]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    assert_eq!(runner.wait(SHUTDOWN), [Action::RefuseNewCalls, end]);
}

#[test]
fn a_signal_ends_a_runner_at_once_that_is_offered_its_parents_executable() {
    let end = || Action::Exit { code: EXIT_OK, reason: EndReason::Signal(15) };
    let mut before = Runner::booting(|_| limits());
    assert_eq!(before.all(&[Event::HelloSent, Event::Signal(15)]), []);
    assert_eq!(before.on(Event::CodeOffered), [end()]);
    let mut while_it_fetches = Runner::booting(|_| limits());
    assert_eq!(while_it_fetches.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(while_it_fetches.on(Event::Signal(15)), [end()]);
}

#[test]
fn an_offer_does_not_put_the_failsafe_off_and_means_nothing_to_a_runner_that_serves() {
    let mut runner = Runner::booting(|_| limits());
    runner.wait(SECOND);
    assert_eq!(runner.all(&[Event::HelloSent, Event::CodeOffered]), []);
    assert_eq!(runner.due(), Some(FAILSAFE));
    let mut serving = Runner::serving(limits());
    assert_eq!(serving.on(Event::CodeOffered), []);
    assert_eq!(serving.on(Event::Signal(15)), asks_to_go(EndReason::Signal(15)));
}

// The parent

#[test]
fn a_parent_lost_beyond_the_grace_aborts_calls_and_ends_the_runner() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.wait(GRACE), [Action::FailRemaining, end]);
}

#[test]
fn a_parent_that_returns_within_the_grace_finds_its_calls_running() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    assert_eq!(runner.wait(GRACE - SECOND), []);
    assert_eq!(runner.on(Event::Connected), []);
    assert_eq!(runner.wait(GRACE * 10), []);
    assert_eq!(runner.terminator.work(), 1);
}

#[test]
fn a_second_report_of_the_same_loss_does_not_put_the_grace_off() {
    let mut runner = Runner::serving(Limits { idle: None, ..limits() });
    runner.on(Event::Disconnected);
    runner.wait(SECOND);
    runner.on(Event::Disconnected);
    assert_eq!(runner.due(), Some(GRACE));
}

#[test]
fn a_parent_that_says_goodbye_ends_the_runner_at_once() {
    let mut runner = Runner::serving(limits());
    runner.on(Event::CallStarted);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.on(Event::LinkClosed), [Action::FailRemaining, end]);
}

#[test]
fn a_drain_asked_for_by_the_parent_lets_calls_finish() {
    let mut runner = Runner::serving(limits());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn calls_that_outlast_the_window_are_failed_before_the_goodbye() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, DRAIN]);
    let end = leaves(EndReason::DrainRequested, EXIT_WORK_ABORTED);
    assert_eq!(runner.wait(SHUTDOWN), [vec![Action::FailRemaining], end].concat());
}

#[test]
fn the_parents_window_counts_up_to_the_limit() {
    let window = |within| {
        let mut runner = Runner::serving(limits());
        runner.all(&[Event::CallStarted, Event::DrainRequested { within: Some(within) }]);
        runner.due()
    };
    assert_eq!(window(SECOND), Some(SECOND));
    assert_eq!(window(SHUTDOWN * 9), Some(SHUTDOWN));
}

#[test]
fn a_second_drain_only_ever_shortens_the_window() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    assert_eq!(runner.on(DRAIN), []);
    assert_eq!(runner.due(), Some(SHUTDOWN));
    assert_eq!(runner.on(Event::DrainRequested { within: Some(SECOND) }), []);
    assert_eq!(runner.due(), Some(SECOND * 2));
}

#[test]
fn a_draining_runner_waits_for_a_lost_parent_to_take_its_last_answers() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected]);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.on(Event::Connected), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_does_not_wait_for_a_lost_parent_beyond_the_window() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    assert_eq!(runner.wait(SHUTDOWN), leaves(EndReason::DrainRequested, EXIT_OK));
}

#[test]
fn a_draining_runner_whose_parent_has_gone_says_no_goodbye() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, DRAIN, Event::Disconnected, Event::CallEnded]);
    let end = Action::Exit { code: EXIT_OK, reason: EndReason::DrainRequested };
    assert_eq!(runner.on(Event::LinkClosed), [end]);
}

// Idle

#[test]
fn an_idle_runner_proposes_and_goes_when_allowed() {
    let mut runner = Runner::serving(limits());
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
    assert_eq!(runner.on(Event::IdleAllowed), drains_and_leaves(EndReason::Idle));
}

#[test]
fn an_idle_runner_never_goes_unasked() {
    let mut runner = Runner::serving(limits());
    assert_eq!(runner.wait(IDLE * 1000), propose(IDLE), "one proposal, and it waits");
    assert_eq!(runner.terminator.phase(), Phase::Serving);
}

#[test]
fn a_drain_takes_an_open_proposal_for_its_question() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    assert_eq!(runner.on(DRAIN), drains_and_leaves(EndReason::Idle));
}

#[test]
fn a_runner_that_is_to_stay_proposes_again_after_the_idle_limit() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.on(STAY);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE * 2));
}

#[test]
fn a_runner_that_is_to_stay_proposes_again_when_the_parent_says() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.on(Event::StayUp { again_in: Some(SECOND * 3) });
    assert_eq!(runner.due(), Some(IDLE + SECOND * 3));
}

#[test]
fn a_parent_that_wants_to_be_asked_again_at_once_is_not_asked_in_a_busy_loop() {
    let mut runner = Runner::serving(Limits { idle: Some(Duration::ZERO), ..limits() });
    assert_eq!(runner.wait(Duration::ZERO).len(), 1);
    for again_in in [None, Some(Duration::ZERO)] {
        assert_eq!(runner.on(Event::StayUp { again_in }), []);
        assert_eq!(runner.wait(Duration::from_millis(99)), []);
        assert_eq!(runner.wait(Duration::from_millis(1)).len(), 1);
    }
}

#[test]
fn a_call_puts_idleness_off() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE - SECOND);
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE - SECOND), []);
    assert_eq!(runner.wait(SECOND), propose(IDLE));
}

#[test]
fn flame_semantics_a_held_value_or_placed_child_keeps_the_runner() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, Event::HoldStarted, Event::CallEnded]);
    assert_eq!(runner.wait(IDLE * 3), []);
    runner.on(Event::HoldEnded);
    assert_eq!(runner.wait(IDLE), propose(IDLE));
}

#[test]
fn a_runner_without_an_idle_limit_never_proposes() {
    let mut runner = Runner::serving(Limits { idle: None, ..limits() });
    assert_eq!(runner.wait(IDLE * 1000), []);
}

#[test]
fn a_proposal_is_not_made_while_the_link_is_down() {
    let mut runner = Runner::serving(Limits { reconnect_timeout: IDLE * 9, ..limits() });
    runner.on(Event::Disconnected);
    assert_eq!(runner.wait(IDLE * 2), []);
    runner.on(Event::Connected);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 2));
}

// The race of a call against the idle drain

#[test]
fn flame_defect_08_a_call_that_arrives_while_idle_is_proposed_is_served() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, STAY]), []);
    assert_eq!(runner.wait(IDLE * 3), []);
    assert_eq!((runner.terminator.phase(), runner.terminator.work()), (Phase::Serving, 1));
}

#[test]
fn flame_defect_08_a_drain_that_crosses_a_call_never_aborts_it() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::IdleAllowed), drains(EndReason::Idle));
    assert_eq!(runner.wait(SHUTDOWN * 100), [], "an idle drain has no window");
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::Idle, EXIT_OK));
}

#[test]
fn a_drain_request_during_a_call_has_its_window_although_a_proposal_was_open() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), drains(EndReason::DrainRequested));
    assert_eq!(runner.due(), Some(IDLE + SHUTDOWN));
}

#[test]
fn a_withdrawn_proposal_is_not_followed_by_another_before_its_answer() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    assert_eq!(runner.all(&[Event::CallStarted, Event::CallEnded]), []);
    assert_eq!(runner.wait(IDLE * 3), [], "the first is still open");
    runner.on(STAY);
    assert_eq!(runner.wait(Duration::ZERO), propose(IDLE * 3));
    // And this one was not withdrawn: its answer counts as any other.
    runner.on(STAY);
    assert_eq!(runner.due(), Some(IDLE * 5));
}

#[test]
fn the_answer_to_a_withdrawn_proposal_does_not_hasten_the_next() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.all(&[Event::CallStarted, Event::CallEnded]);
    runner.on(Event::StayUp { again_in: Some(SECOND) });
    assert_eq!(runner.due(), Some(IDLE * 2));
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    let mut runner = Runner::serving(limits());
    let answers = [Event::IdleAllowed, STAY, Event::PredicateSays(true)];
    assert_eq!(runner.all(&answers), []);
    assert_eq!(runner.due(), Some(IDLE));
}

#[test]
fn flame_defect_09_an_end_without_a_start_is_ignored() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallEnded, Event::HoldEnded, Event::CallStarted, Event::HoldEnded]);
    assert_eq!(runner.terminator.work(), 1);
}

#[test]
fn an_end_without_a_start_does_not_put_idleness_off() {
    let mut runner = Runner::serving(limits());
    runner.wait(SECOND);
    assert_eq!(runner.all(&[Event::CallEnded, Event::HoldEnded]), []);
    assert_eq!(runner.due(), Some(IDLE));
}

// The predicate

fn with_predicate() -> Runner {
    Runner::serving(Limits { ask_predicate: true, ..limits() })
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
fn a_call_makes_the_predicates_yes_out_of_date() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
    runner.on(Event::CallEnded);
    assert_eq!(runner.wait(IDLE), [Action::AskPredicate]);
    // The same where the call has ended before the answer.
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
fn a_predicate_that_answers_a_draining_runner_is_too_late() {
    let mut runner = with_predicate();
    runner.wait(IDLE);
    runner.all(&[Event::Disconnected, Event::Signal(15)]);
    assert_eq!(runner.terminator.phase(), Phase::Draining, "it waits for its parent");
    assert_eq!(runner.on(Event::PredicateSays(true)), []);
}

// Single use

fn single_use() -> Runner {
    Runner::serving(Limits { single_use: true, ..limits() })
}

#[test]
fn flame_defect_08_a_single_use_runner_takes_one_call_and_goes() {
    let mut runner = single_use();
    assert_eq!(runner.on(Event::CallStarted), [Action::RefuseNewCalls]);
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
fn a_single_use_runner_stays_for_what_its_call_left_held() {
    let mut runner = single_use();
    runner.all(&[Event::CallStarted, Event::HoldStarted]);
    assert_eq!(runner.on(Event::CallEnded), []);
    assert_eq!(runner.on(Event::HoldEnded).last(), leaves(EndReason::SingleUse, 0).last());
}

#[test]
fn new_calls_are_refused_once_only() {
    let mut runner = single_use();
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(DRAIN), [Action::AnnounceDraining(EndReason::DrainRequested)]);
}

// Lifetime and the host's deadline

#[test]
fn a_runner_drains_at_the_end_of_its_lifetime() {
    let mut runner = Runner::serving(Limits { max_lifetime: Some(SECOND * 60), ..limits() });
    runner.on(Event::CallStarted);
    assert_eq!(runner.wait(SECOND * 60), asks_to_go(EndReason::Lifetime));
    assert_eq!(runner.wait(SHUTDOWN), leaves_unreleased(EndReason::Lifetime));
}

#[test]
fn a_lifetime_also_ends_an_idle_drain_whose_call_does_not_end() {
    let mut runner = Runner::serving(Limits { max_lifetime: Some(SECOND * 60), ..limits() });
    runner.wait(IDLE);
    runner.all(&[Event::CallStarted, Event::IdleAllowed]);
    let end = leaves(EndReason::Lifetime, EXIT_WORK_ABORTED);
    assert_eq!(runner.wait(SECOND * 90), [vec![Action::FailRemaining], end].concat());
}

#[test]
fn a_runner_drains_one_window_before_its_hosts_deadline_and_is_gone_by_then() {
    let deadline = SECOND * 100;
    let mut runner = Runner::booting(|now| Limits {
        host_deadline: Some(now + deadline),
        idle: None,
        ..limits()
    });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(deadline - SHUTDOWN));
    assert_eq!(runner.wait(deadline - SHUTDOWN), asks_to_go(EndReason::HostDeadline));
    assert_eq!(runner.wait(SHUTDOWN - SECOND), []);
    assert_eq!(runner.wait(SECOND), leaves_unreleased(EndReason::HostDeadline));
    assert_eq!(runner.now - runner.start, deadline);
}

#[test]
fn a_drain_shortly_before_the_hosts_deadline_has_the_shorter_window() {
    let mut runner =
        Runner::booting(|now| Limits { host_deadline: Some(now + SECOND * 100), ..limits() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    runner.wait(SECOND * 94);
    runner.on(Event::Signal(15));
    assert_eq!(runner.wait(SECOND * 6), leaves_unreleased(EndReason::Signal(15)));
}

#[test]
fn a_host_that_lives_shorter_than_the_window_still_serves_for_half_its_life() {
    let mut runner =
        Runner::booting(|now| Limits { host_deadline: Some(now + SECOND * 4), ..limits() });
    runner.all(&[Event::Connected, Event::CallStarted]);
    assert_eq!(runner.due(), Some(SECOND * 2));
    runner.wait(SECOND * 4);
    assert_eq!(runner.terminator.phase(), Phase::Gone);
}

#[test]
fn limits_beyond_the_clock_are_no_limits() {
    let limits = Limits {
        failsafe: Duration::MAX,
        reconnect_timeout: Duration::MAX,
        idle: Some(Duration::MAX),
        max_lifetime: Some(Duration::MAX),
        shutdown: Duration::MAX,
        ..limits()
    };
    let mut runner = Runner::booting(|_| limits);
    runner.all(&[Event::Connected, Event::CallStarted, Event::Signal(15), Event::Disconnected]);
    assert_eq!(runner.due(), None);
}

// Signals

#[test]
fn a_signal_drains_within_the_window() {
    let mut runner = Runner::serving(limits());
    runner.on(Event::CallStarted);
    assert_eq!(runner.on(Event::Signal(15)), asks_to_go(EndReason::Signal(15)));
    assert_eq!(runner.on(DRAIN), [Action::RefuseNewCalls]);
    assert_eq!(runner.on(Event::CallEnded), leaves(EndReason::Signal(15), EXIT_OK));
}

#[test]
fn a_platform_that_kills_soon_after_its_signal_makes_the_window_shorter_and_never_longer() {
    for (after_signal, window) in [(SECOND * 3, SECOND * 3), (SECOND * 90, SHUTDOWN)] {
        let mut runner = Runner::serving(Limits { after_signal: Some(after_signal), ..limits() });
        runner.on(Event::CallStarted);
        runner.on(Event::Signal(15));
        assert_eq!(runner.wait(window - SECOND), []);
        assert_eq!(runner.wait(SECOND), leaves_unreleased(EndReason::Signal(15)));
    }
}

#[test]
fn a_signal_in_a_drain_cuts_what_is_left_of_it_where_the_platform_kills_soon() {
    let mut runner = Runner::serving(Limits { after_signal: Some(SECOND), ..limits() });
    runner.all(&[Event::CallStarted, DRAIN]);
    runner.wait(SECOND);
    runner.on(Event::Signal(15));
    let end = [vec![Action::FailRemaining], leaves(EndReason::Signal(15), EXIT_WORK_ABORTED)];
    assert_eq!(runner.wait(SECOND), end.concat());
}

#[test]
fn a_call_that_crosses_a_signal_is_served() {
    let mut runner = Runner::serving(limits());
    assert_eq!(runner.on(Event::Signal(15)), asks_to_go(EndReason::Signal(15)));
    assert_eq!(
        runner.all(&[Event::CallStarted, Event::CallEnded]),
        [],
        "others may be on their way"
    );
    let end = [vec![Action::RefuseNewCalls], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.on(DRAIN), end.concat());
}

#[test]
fn a_parent_that_does_not_let_go_holds_nobody_beyond_the_window() {
    let mut runner = Runner::serving(limits());
    runner.on(Event::Signal(15));
    let end = [vec![Action::RefuseNewCalls], leaves(EndReason::Signal(15), EXIT_OK)];
    assert_eq!(runner.wait(SHUTDOWN), end.concat());
}

#[test]
fn a_second_signal_ends_the_runner_at_once() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::CallStarted, Event::Signal(15)]);
    let end = Action::Exit { code: 130, reason: EndReason::Signal(2) };
    assert_eq!(runner.on(Event::Signal(2)), [Action::FailRemaining, end]);
}

#[test]
fn a_signal_gives_an_idle_drain_a_window() {
    let mut runner = Runner::serving(limits());
    runner.wait(IDLE);
    runner.all(&[Event::CallStarted, Event::IdleAllowed]);
    assert_eq!(runner.on(Event::Signal(15)), []);
    let end = leaves(EndReason::Signal(15), EXIT_WORK_ABORTED);
    assert_eq!(runner.wait(SHUTDOWN), [vec![Action::FailRemaining], end].concat());
}

// The end

#[test]
fn nothing_follows_the_exit() {
    let mut runner = Runner::serving(limits());
    runner.all(&[Event::Signal(15), DRAIN]);
    let events = [Event::Signal(15), Event::CallStarted, DRAIN, Event::LinkClosed];
    assert_eq!(runner.all(&events), []);
    assert_eq!(runner.due(), None);
    assert_eq!(runner.wait(FAILSAFE * 100), []);
}

#[test]
fn a_process_that_slept_through_several_timers_ends_once() {
    let max_lifetime = Some(SECOND * 60);
    let mut runner = Runner::serving(Limits { max_lifetime, ..limits() });
    runner.all(&[Event::CallStarted, Event::Disconnected]);
    runner.now += SECOND * 1000;
    runner.terminator.handle_timeout(runner.now);
    let end = Action::Exit { code: EXIT_PARENT_LOST, reason: EndReason::ParentLost };
    assert_eq!(runner.actions(), [Action::FailRemaining, end]);
}

#[test]
fn an_early_timeout_is_harmless() {
    let mut runner = Runner::serving(limits());
    runner.terminator.handle_timeout(runner.now);
    assert_eq!(runner.actions(), []);
    assert_eq!(runner.due(), Some(IDLE));
}
