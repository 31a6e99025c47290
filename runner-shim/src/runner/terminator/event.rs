//! The limits of a terminator, the events that its driver reports, and the actions for the driver.

use std::time::{Duration, Instant};

use flame_wire::message::EndReason;

/// The time limits of one runner, fixed at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// How long the runner tries to reach its parent for the first time.
    pub(crate) failsafe: Duration,
    /// How long the runner tries to resume a lost link.
    pub(crate) reconnect_timeout: Duration,
    /// How long a runner without work waits before it proposes to end; `None`: it never does.
    pub(crate) idle: Option<Duration>,
    /// Whether an idle predicate has to agree before the runner proposes to end.
    pub(crate) ask_predicate: bool,
    /// The time from the runner's start to its drain; `None`: no limit.
    pub(crate) max_lifetime: Option<Duration>,
    /// When the runner has to be gone: the platform's deadline, less the margin.
    pub(crate) host_deadline: Option<Instant>,
    /// How long work in flight may continue once a drain has begun.
    pub(crate) shutdown: Duration,
    /// The limit that replaces `shutdown` after a signal, for a platform that kills the process
    /// soon after the signal. It has no effect if it is longer than `shutdown`. `None`: a drain
    /// after a signal is like any other.
    pub(crate) after_signal: Option<Duration>,
    /// Whether the runner ends after its first work.
    pub(crate) single_use: bool,
}

/// An event that a driver reports to the terminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first hello is about to be sent: from here on the parent may rely on this runner.
    HelloSent,
    /// The parent did not admit this runner, but offers it another executable. The parent does not
    /// rely on this process.
    CodeOffered,
    /// The link to the parent is up: for the first time, or resumed.
    Connected,
    /// The socket was lost; the link may still be resumed.
    Disconnected,
    /// The link has ended for good: the parent said goodbye, or refused to resume it.
    LinkClosed,
    /// A call, cast, stream or placed child began.
    CallStarted,
    /// It ended: its answer was handed to the link, or it was cancelled and has stopped. A call
    /// whose result holds values ends when the parent has dropped its handles.
    CallEnded,
    /// The idle predicate's answer to [`Action::AskPredicate`]: may the runner end?
    PredicateSays(bool),
    /// The parent wants the runner to stay. The runner may propose to end again after `again_in`
    /// (default: the idle limit).
    StayUp {
        /// The earliest time of the next proposal.
        again_in: Option<Duration>,
    },
    /// The parent asks for a drain. This is also the parent's consent to an idle proposal: the wire
    /// has one message for both.
    DrainRequested {
        /// The parent's window for work in flight; at most [`Config::shutdown`].
        within: Option<Duration>,
    },
    /// The process got a signal that asks it to end. The second signal ends it at once.
    Signal(i32),
}

/// An action that the driver must carry out, in the order in which the actions were emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Action {
    /// Ask the idle predicate, within a time limit, and report [`Event::PredicateSays`].
    AskPredicate,
    /// Propose to the parent to end this runner, which has been without work for `idle_for`.
    ProposeIdle {
        /// Time since the last work ended, or since the link first came up.
        idle_for: Duration,
    },
    /// Answer new calls with [`flame_wire::failure::CallFailure::Draining`] from here on.
    StopAccepting,
    /// Tell the parent that this runner is draining. At most once.
    AnnounceDraining(EndReason),
    /// Abort the work in flight and answer it with a failure.
    FailRemaining,
    /// Deliver the messages that functions' channels have accepted, say goodbye to the parent, and
    /// give the link a limited time to write both out: the rest of [`Terminator::window_ends`](super::Terminator::window_ends), or
    /// one shutdown window.
    SayGoodbye(EndReason),
    /// End the host (`Host::shutdown`). The last action.
    Exit {
        /// One of the `EXIT_` codes.
        code: i32,
        /// Why the runner ends.
        reason: EndReason,
    },
}
