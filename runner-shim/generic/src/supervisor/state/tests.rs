use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type State = SupervisorState<u32, u32, &'static str>;

fn event(request_id: &str) -> FunctionEvent<&'static str> {
    FunctionEvent { request_id: request_id.to_owned(), payload: "event" }
}

fn answer(request_id: &str, answer: u32) -> SupervisorInput<u32, u32, &'static str> {
    SupervisorInput::Answered { request_id: request_id.to_owned(), answer }
}

fn exited(how: &str) -> SupervisorInput<u32, u32, &'static str> {
    SupervisorInput::ChildExited(how.to_owned())
}

fn forward(request_id: &str, answer: u32) -> Action<u32, u32, &'static str> {
    Action::Forward { request_id: request_id.to_owned(), answer }
}

fn fail(request_id: &str, failure: Failure) -> Action<u32, u32, &'static str> {
    Action::Fail { request_id: request_id.to_owned(), failure }
}

/// The actions that an input leads to.
fn after(
    state: &mut State,
    input: SupervisorInput<u32, u32, &'static str>,
) -> Vec<Action<u32, u32, &'static str>> {
    state.handle(input);
    std::iter::from_fn(|| state.poll_action()).collect()
}

/// A state whose child has been given the event `a`.
fn serving() -> State {
    let mut state = State::new();
    assert_eq!(state.poll_action(), Some(Action::StartChild));
    assert_eq!(after(&mut state, SupervisorInput::NextRequested(1)), [Action::Fetch]);
    assert_eq!(
        after(&mut state, SupervisorInput::Fetched(event("a"))),
        [Action::Deliver(1, event("a"))]
    );
    state
}

#[test]
fn an_event_is_given_and_its_answer_is_passed_on_once() {
    let mut state = serving();
    assert_eq!(after(&mut state, answer("b", 7)), [Action::Refuse(7)]);
    assert_eq!(after(&mut state, answer("a", 8)), [forward("a", 8)]);
    assert_eq!(after(&mut state, answer("a", 9)), [Action::Refuse(9)]);
    assert_eq!(after(&mut state, SupervisorInput::NextRequested(2)), [Action::Fetch]);
}

#[test]
fn a_child_that_has_become_another_program_is_given_the_open_event_once_more() {
    let mut state = serving();
    assert_eq!(
        after(&mut state, SupervisorInput::NextRequested(2)),
        [Action::Deliver(2, event("a"))]
    );
    assert_eq!(after(&mut state, answer("a", 8)), [forward("a", 8)]);
}

#[test]
fn an_event_that_was_given_twice_and_not_answered_fails() {
    let mut state = serving();
    after(&mut state, SupervisorInput::NextRequested(2));
    let third = after(&mut state, SupervisorInput::NextRequested(3));
    assert_eq!(third, [fail("a", Failure::NotAnswered), Action::Fetch]);
    assert_eq!(after(&mut state, answer("a", 8)), [Action::Refuse(8)]);
}

#[test]
fn the_event_of_a_child_that_ends_fails_and_another_child_is_started() {
    let mut state = serving();
    let failure = Failure::ChildExited("exit status 7".to_owned());
    assert_eq!(
        after(&mut state, exited("exit status 7")),
        [fail("a", failure), Action::StartChild]
    );
    assert_eq!(after(&mut state, SupervisorInput::NextRequested(2)), [Action::Fetch]);
}

#[test]
fn an_event_that_no_child_has_received_waits_for_the_next_child() {
    let mut state = State::new();
    state.poll_action();
    after(&mut state, SupervisorInput::NextRequested(1));
    assert_eq!(after(&mut state, exited("killed")), [Action::StartChild]);
    assert_eq!(after(&mut state, SupervisorInput::Fetched(event("a"))), []);
    let given = after(&mut state, SupervisorInput::NextRequested(2));
    assert_eq!(given, [Action::Deliver(2, event("a"))], "Lambda is not asked twice");
    // The child was gone before it had read the event.
    assert_eq!(after(&mut state, SupervisorInput::Undelivered), []);
    assert_eq!(after(&mut state, exited("killed")), [Action::StartChild]);
    assert_eq!(
        after(&mut state, SupervisorInput::NextRequested(3)),
        [Action::Deliver(3, event("a"))]
    );
}

#[test]
fn children_that_end_without_an_event_are_started_again_a_limited_number_of_times() {
    let mut state = serving();
    after(&mut state, answer("a", 8));
    // The first one has served.
    for _ in 0..MAX_IDLE_EXITS {
        assert_eq!(after(&mut state, exited("crash")), [Action::StartChild]);
    }
    let how = "crash".to_owned();
    let ending = SupervisorEnd::NoChildServes { how, initialised: true };
    assert_eq!(after(&mut state, exited("crash")), [Action::End(ending)]);
}

#[test]
fn a_failed_initialisation_goes_to_lambda_only_before_the_first_event() {
    let mut state = State::new();
    state.poll_action();
    assert_eq!(after(&mut state, SupervisorInput::InitFailed(1)), [Action::ForwardInitError(1)]);
    let mut state = serving();
    assert_eq!(after(&mut state, SupervisorInput::InitFailed(2)), [forward("a", 2)]);
    assert_eq!(after(&mut state, SupervisorInput::InitFailed(3)), [Action::Refuse(3)]);
}

#[test]
fn after_a_signal_the_end_of_the_child_is_the_end() {
    let mut state = serving();
    assert_eq!(after(&mut state, SupervisorInput::Signalled), []);
    assert_eq!(after(&mut state, answer("a", 8)), [forward("a", 8)]);
    assert_eq!(after(&mut state, exited("exit status 0")), [Action::End(SupervisorEnd::Signalled)]);
}

/// A step of a child, of Lambda or of the kernel. Steps may come in any order.
#[derive(Debug, Clone)]
enum Step {
    Ask,
    Answer { of_open: bool },
    InitFailed,
    LambdaSends,
    Lose,
    Exit,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        3 => any::<bool>().prop_map(|of_open| Step::Answer { of_open }),
        1 => Just(Step::InitFailed),
        4 => Just(Step::LambdaSends),
        1 => Just(Step::Lose),
        1 => Just(Step::Exit),
    ]
}

/// Checks the actions of a state, and knows what can happen next.
#[derive(Default)]
struct Model {
    /// How often each event was given to a child, and whether it was answered.
    events: BTreeMap<String, (u32, bool)>,
    last_given: Option<String>,
    fetches: u32,
    is_alive: bool,
    has_ended: bool,
}

impl Model {
    fn check(&mut self, state: &mut State) -> Result<(), TestCaseError> {
        while let Some(action) = state.poll_action() {
            prop_assert!(!self.has_ended, "nothing happens after the end");
            match action {
                Action::Fetch => self.fetches += 1,
                Action::Deliver(_, event) => {
                    let (given, answered) = self.events.get_mut(&event.request_id).unwrap();
                    *given += 1;
                    prop_assert!(!*answered && *given <= MAX_DELIVERIES && self.is_alive);
                    self.last_given = Some(event.request_id);
                }
                Action::Forward { request_id, .. } | Action::Fail { request_id, .. } => {
                    let (_, answered) = self.events.get_mut(&request_id).unwrap();
                    prop_assert!(!std::mem::replace(answered, true), "it is answered once");
                }
                Action::StartChild => {
                    prop_assert!(!std::mem::replace(&mut self.is_alive, true));
                }
                Action::End(_) => self.has_ended = true,
                Action::Refuse(_) | Action::ForwardInitError(_) => {}
            }
            prop_assert!(self.fetches <= 1, "Lambda is asked for one event at a time");
        }
        Ok(())
    }

    /// The input for a step, if it can happen now.
    fn input(&mut self, step: &Step) -> Option<SupervisorInput<u32, u32, &'static str>> {
        Some(match step {
            Step::Ask if self.is_alive => SupervisorInput::NextRequested(1),
            Step::Answer { of_open } => {
                let open = self.last_given.clone().filter(|_| *of_open);
                answer(&open.unwrap_or_else(|| "of no event".to_owned()), 1)
            }
            Step::InitFailed => SupervisorInput::InitFailed(1),
            Step::LambdaSends if self.fetches == 1 => {
                // Lambda sends an event only when it has the answer to the one before.
                assert!(self.events.values().all(|(_, answered)| *answered));
                self.fetches = 0;
                let request_id = format!("event {}", self.events.len());
                self.events.insert(request_id.clone(), (0, false));
                SupervisorInput::Fetched(event(&request_id))
            }
            Step::Lose => match self.events.get_mut(self.last_given.as_ref()?)? {
                (given, false) if *given > 0 => {
                    *given -= 1;
                    SupervisorInput::Undelivered
                }
                _ => return None,
            },
            Step::Exit if self.is_alive => {
                self.is_alive = false;
                exited("gone")
            }
            Step::Ask | Step::LambdaSends | Step::Exit => return None,
        })
    }
}

proptest! {
    #[test]
    fn each_event_is_answered_at_most_once_and_given_only_while_it_is_open(
        steps in prop::collection::vec(any_step(), 0..60),
    ) {
        let (mut state, mut model) = (State::new(), Model::default());
        model.check(&mut state)?;
        for step in steps {
            if model.has_ended {
                break;
            }
            if let Some(input) = model.input(&step) {
                state.handle(input);
                model.check(&mut state)?;
            }
        }
        // A child that goes on answers what is open.
        if !model.has_ended && model.events.values().any(|(_, answered)| !answered) {
            state.handle(SupervisorInput::NextRequested(1));
            model.check(&mut state)?;
            state.handle(answer(&format!("event {}", model.events.len() - 1), 1));
            model.check(&mut state)?;
            prop_assert!(model.events.values().all(|(_, answered)| *answered));
        }
    }
}
