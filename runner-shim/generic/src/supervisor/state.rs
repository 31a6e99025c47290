//! Decides what a supervisor does: which event its child gets, which answer goes to Lambda, and
//! when a child is started. Pure.
//!
//! ```text
//!            child asks                Lambda sends                  child answers
//!   idle ────────────────▶ fetching ─────────────────▶ open: given ────────────────▶ idle
//!                                                        │  ▲  │
//!                                   child asks again, as │  │  │ child exits, or asks a third time
//!                                   another program      └──┘  └─▶ answered with an error ─▶ idle
//! ```
//!
//! # Invariants
//!
//! * Each event is answered exactly once, unless this process ends.
//! * An event is given again only while its answer is missing, and at most once to a child that
//!   lives.
//! * Lambda is asked for an event only when a child is ready for it, and never twice at a time.
//! * At most [`MAX_IDLE_EXITS`] children in a row end without having been given an event.

use std::collections::VecDeque;

/// How often an event is given to a child: to the program that it starts as, and to the program
/// that it becomes. A boot replaces the program at most once.
const MAX_DELIVERIES: u32 = 2;
/// The number of children in a row that may end without having been given an event. Then starting
/// another one will not help.
pub(crate) const MAX_IDLE_EXITS: u32 = 3;

/// An event of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionEvent<P> {
    /// Lambda's id of the invocation.
    pub(crate) request_id: String,
    /// The event itself.
    pub(crate) payload: P,
}

/// An input of the state machine. `N` is a child's request for the next event, and `A` a child's
/// answer.
#[derive(Debug)]
pub(crate) enum SupervisorInput<N, A, P> {
    /// The child asks for the next event.
    NextRequested(N),
    /// Lambda has sent an event.
    Fetched(FunctionEvent<P>),
    /// The child was gone before it had received the event.
    Undelivered,
    /// The child answers an event, with a response or an error.
    Answered { request_id: String, answer: A },
    /// The child reports that its initialisation has failed.
    InitFailed(A),
    /// The child has ended. The text says how.
    ChildExited(String),
    /// The supervisor was asked to end. It has passed that on to the child.
    Signalled,
}

/// An action that the supervisor has to carry out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<N, A, P> {
    /// Ask Lambda for an event.
    Fetch,
    /// Give the child the event that it has asked for.
    Deliver(N, FunctionEvent<P>),
    /// Pass the child's answer to this event on to Lambda.
    Forward { request_id: String, answer: A },
    /// Tell the child that its answer is to no open event.
    Refuse(A),
    /// Answer the event with an error, in the child's place.
    Fail { request_id: String, failure: Failure },
    /// Pass the child's report of a failed initialisation on to Lambda.
    ForwardInitError(A),
    /// Start a child.
    StartChild,
    /// End this process.
    End(SupervisorEnd),
}

/// Why the supervisor answers an event itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The child ended during the invocation.
    ChildExited(String),
    /// The child asks for another event without having answered this one.
    NotAnswered,
}

/// Why the supervisor ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SupervisorEnd {
    /// It was asked to.
    Signalled,
    /// One child after another ends before it serves. The text says how the last one ended.
    NoChildServes { how: String, initialised: bool },
}

/// The supervisor's state.
#[derive(Debug)]
pub(crate) struct SupervisorState<N, A, P> {
    /// The event whose answer is missing.
    open: Option<OpenEvent<P>>,
    /// The child's request for an event that is not here yet.
    waiting: Option<N>,
    /// Lambda was asked for an event.
    fetching: bool,
    signalled: bool,
    /// Lambda was asked for an event at least once: the environment is initialised.
    initialised: bool,
    /// The child was given an event.
    child_served: bool,
    idle_exits: u32,
    actions: VecDeque<Action<N, A, P>>,
}

#[derive(Debug)]
struct OpenEvent<P> {
    event: FunctionEvent<P>,
    deliveries: u32,
}

impl<N, A, P: Clone> SupervisorState<N, A, P> {
    /// The first action starts a child.
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            waiting: None,
            fetching: false,
            signalled: false,
            initialised: false,
            child_served: false,
            idle_exits: 0,
            actions: [Action::StartChild].into(),
        }
    }

    /// The next action; `None` until there is more input.
    pub(crate) fn poll_action(&mut self) -> Option<Action<N, A, P>> {
        self.actions.pop_front()
    }

    /// Takes note of what has happened.
    pub(crate) fn handle(&mut self, input: SupervisorInput<N, A, P>) {
        match input {
            SupervisorInput::NextRequested(request) => self.next_requested(request),
            SupervisorInput::Fetched(event) => {
                self.fetching = false;
                self.open = Some(OpenEvent { event, deliveries: 0 });
                self.deliver();
            }
            SupervisorInput::Undelivered => {
                if let Some(open) = &mut self.open {
                    open.deliveries = open.deliveries.saturating_sub(1);
                }
            }
            SupervisorInput::Answered { request_id, answer } => {
                let is_open = self.given().is_some_and(|open| open.request_id == request_id);
                self.actions.push_back(if is_open {
                    self.open = None;
                    Action::Forward { request_id, answer }
                } else {
                    Action::Refuse(answer)
                });
            }
            SupervisorInput::InitFailed(answer) => {
                // A program that the child became in the middle of an invocation reports it so.
                self.actions.push_back(match self.given().map(|event| event.request_id.clone()) {
                    Some(request_id) => {
                        self.open = None;
                        Action::Forward { request_id, answer }
                    }
                    None if self.initialised => Action::Refuse(answer),
                    None => Action::ForwardInitError(answer),
                });
            }
            SupervisorInput::ChildExited(how) => self.child_exited(how),
            SupervisorInput::Signalled => self.signalled = true,
        }
    }

    /// The event that was given to a child, and whose answer is missing.
    fn given(&self) -> Option<&FunctionEvent<P>> {
        self.open.as_ref().filter(|open| open.deliveries > 0).map(|open| &open.event)
    }

    fn next_requested(&mut self, request: N) {
        self.waiting = Some(request);
        if self.open.as_ref().is_some_and(|open| open.deliveries >= MAX_DELIVERIES) {
            self.fail(Failure::NotAnswered);
        }
        self.deliver();
        if self.waiting.is_some() && !self.fetching {
            (self.fetching, self.initialised) = (true, true);
            self.actions.push_back(Action::Fetch);
        }
    }

    /// Gives the open event to the child that waits.
    fn deliver(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Some(request) = self.waiting.take() else { return };
        open.deliveries += 1;
        (self.child_served, self.idle_exits) = (true, 0);
        self.actions.push_back(Action::Deliver(request, open.event.clone()));
    }

    fn fail(&mut self, failure: Failure) {
        if let Some(OpenEvent { event, .. }) = self.open.take() {
            self.actions.push_back(Action::Fail { request_id: event.request_id, failure });
        }
    }

    fn child_exited(&mut self, how: String) {
        self.waiting = None;
        if self.given().is_some() {
            self.fail(Failure::ChildExited(how.clone()));
        }
        if !std::mem::take(&mut self.child_served) {
            self.idle_exits += 1;
        }
        if self.signalled {
            self.actions.push_back(Action::End(SupervisorEnd::Signalled));
        } else if self.idle_exits >= MAX_IDLE_EXITS {
            self.fail(Failure::ChildExited(how.clone()));
            let initialised = self.initialised;
            self.actions.push_back(Action::End(SupervisorEnd::NoChildServes { how, initialised }));
        } else {
            self.actions.push_back(Action::StartChild);
        }
    }
}

#[cfg(test)]
mod tests;
