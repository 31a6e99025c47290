//! The channels by which the listener hands a runner's sockets to the runner's task.

use flame_link::Io;
use flame_wire::hello::{Hello, Rejection};
use flame_wire::token::Token;
use tokio::sync::mpsc;

use crate::code::Code;

/// The task of one runner, as the listener knows it.
#[derive(Debug, Clone)]
pub(crate) struct SocketInbox {
    /// The key that the runner's welcome carries.
    pub(crate) resume: Token,
    /// The executable for a runner of another build, if the runner's pool offers it.
    pub(crate) code: Option<Code>,
    /// The first socket with its hello, or the reason why there will be none.
    pub(crate) first: mpsc::Sender<Result<(Io, Hello), TurnedAway>>,
    /// The sockets after the first.
    pub(crate) next: mpsc::Sender<Io>,
}

/// Why a runner with a valid token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(
        "the runner is of another build, and `code_sync` could not give it this executable: {0}"
    )]
    CodeSyncFailed(String),
}
