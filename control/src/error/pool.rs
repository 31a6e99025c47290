//! Errors of starting and resizing a pool.

use std::fmt;

use flame_wire::code::MAX_CODE;
use flame_wire::ids::RunnerRef;

use super::InnerError;
use crate::backend::BackendError;

/// An option with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadOption {
    /// The option: the name of its method.
    pub option: &'static str,
    /// What is wrong, and what to write instead.
    pub why: String,
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.option, self.why)
    }
}

fn also(others: &[BadOption]) -> String {
    others.iter().map(|other| format!("; and its option {other}")).collect()
}

/// Why a pool can't be started or resized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Options have invalid values. Nothing was started or changed.
    #[error("the pool's option `{option}` {why}{}", also(.others))]
    Option {
        /// The option: the name of its method of [`PoolBuilder`](crate::PoolBuilder), or `name` for
        /// the argument of [`Pool::builder`](crate::Pool::builder).
        option: &'static str,
        /// What is wrong, and what to write instead.
        why: String,
        /// The other options with invalid values.
        others: Vec<BadOption>,
    },
    /// The backend lacks a setting, a permission or a resource.
    #[error("the backend can't be used")]
    Backend(#[from] BackendError),
    /// The pool can't listen for its runners.
    #[error("the pool can't listen for runners at {address} (its option `listen`)")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No relay could be reached when the pool started.
    #[error(
        "the pool can't use its relay at {url} (its option `relay`, or FLAME_RELAY_URL): check that \
         the relay runs there, and that this process can connect to it"
    )]
    RelayUnreachable {
        /// The URL, or all URLs if there are several.
        url: String,
        /// Why not.
        source: InnerError,
    },
    /// The relay does not know the key.
    #[error(
        "the relay at {url} rejected the key of this process: set `Relay::key`, or FLAME_RELAY_KEY, \
         to one of the relay's keys"
    )]
    RelayKeyRejected {
        /// The URL, or all URLs if there are several.
        url: String,
    },
    /// The TLS key of the pool can't be generated.
    #[error("the TLS key for the connections with runners can't be generated")]
    Key(#[source] InnerError),
    /// The build id of this executable can't be determined.
    #[error(transparent)]
    Build(InnerError),
    /// With [`code_sync`](crate::PoolBuilder::code_sync): this executable can't be sent to runners.
    #[error(transparent)]
    Code(#[from] CodeSyncError),
    /// This process was started as a runner and does not serve yet: its `main` has not reached
    /// [`App::run`](crate::App::run), or has ignored an error of `run`. If runners started the
    /// pools of their parent, each of them would boot runners of its own, without end.
    #[error(
        "this process is a runner and has not reached `App::run` yet, so it can't start a pool: \
         start the pool inside the closure given to `App::run`, which runs only in the parent, or \
         only if `!flame_aws::is_runner()`. If a remote function needs a pool, start it in the \
         function"
    )]
    NotServing,
    /// Pools are nested too deep.
    #[error(
        "pools are already nested {depth} deep, so runners seem to boot runners without end: if \
         this nesting is intended, raise the pool's option `max_depth`"
    )]
    DepthExceeded {
        /// The depth of this process.
        depth: u8,
    },
}

impl PoolError {
    /// An error that names all of the `wrong` options, unless there are none.
    pub(crate) fn of_options(wrong: Vec<BadOption>) -> Result<(), Self> {
        let mut wrong = wrong.into_iter();
        match wrong.next() {
            None => Ok(()),
            Some(BadOption { option, why }) => {
                Err(PoolError::Option { option, why, others: wrong.collect() })
            }
        }
    }
}

/// The pool has no such runner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pool `{pool}` has no runner {runner}: it has ended, or it is a runner of another pool; \
     `Pool::snapshot` lists the runners"
)]
#[non_exhaustive]
pub struct UnknownRunner {
    /// The runner that was asked for.
    pub runner: RunnerRef,
    /// The pool's name.
    pub pool: String,
}

/// Why runners can't fetch this process's executable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeSyncError {
    /// The executable can't be read.
    #[error("`code_sync` can't read the executable of this process to send it to runners: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The executable is too large.
    #[error(
        "the executable of this process has {len} bytes, and `code_sync` sends at most {MAX_CODE}: \
         strip its debug information, or turn `code_sync` off"
    )]
    TooLarge {
        /// The size of the executable, in bytes.
        len: u64,
    },
}
