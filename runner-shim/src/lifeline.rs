//! A child of the process backend never outlives its parent.
//!
//! ```text
//!   parent: FLAME_LIFELINE=<its pid> <name> ──spawn──▶ child, before main: request SIGKILL at the
//!                                               parent's death, then check: still its child?
//! ```
//!
//! The parent only sets a variable, so it can spawn without `pre_exec`, which would cost a full
//! fork. The child ties itself to its parent before `main`, so no code of the app can hang or fail
//! before that.
//!
//! # Invariants
//!
//! * The child gets SIGKILL when its parent ends, even by `kill -9`, and even if the parent ends
//!   between the spawn and the tie.
//! * A process without the variable is left alone. This includes the commands that a runner starts,
//!   because the runner has taken the variable out of its environment. If a process inherits it
//!   anyway, its parent is not the process that the variable names.
//!
//! # Linux
//!
//! `PR_SET_PDEATHSIG` is bound to the *thread* that spawned the child, not to its process. So the
//! process backend must spawn from one thread that lives as long as the process.
//!
//! The kernel forgets the request when the process changes its user, its group or its capabilities,
//! and an app may drop privileges in `main`. So [`keep_tied`], called when a runner starts to
//! serve, repeats the request, and also waits for the parent's end on a thread of its own, in case
//! the app drops privileges later.
//!
//! # Other platforms
//!
//! They have no such request, and run no code before `main`. [`tie`], called when a runner starts
//! to serve, starts a thread that checks the parent's pid ten times a second.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::boot_variables::boot_variables;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod polling;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(test)]
mod tests;

/// Whether this process is tied to its parent.
static TIED: AtomicBool = AtomicBool::new(false);

/// The value of FLAME_LIFELINE for a child that should appear as `name` in process lists, which
/// show the first 15 bytes.
#[must_use]
pub fn value(name: &str) -> String {
    format!("{} {name}", std::process::id())
}

/// Ties this process to the parent that FLAME_LIFELINE names, unless it is already tied. Returns
/// whether it is tied: `false` for a process without a lifeline, or with one that it inherited.
///
/// On Linux, a process that is tied also leaves its parent's terminal, and takes its name.
///
/// On Linux this happens before `main`. On other platforms, [`keep_tied`] does it when a runner
/// starts to serve.
pub fn tie() -> bool {
    if !is_tied()
        && let Some((parent, name)) = named()
    {
        #[cfg(target_os = "linux")]
        let tied = linux::tie(parent) && {
            terminal::leave(parent);
            linux::set_name(&name);
            true
        };
        #[cfg(not(target_os = "linux"))]
        let tied = {
            let _ = name;
            polling::tie(parent)
        };
        TIED.store(tied, Ordering::Release);
    }
    is_tied()
}

/// Ties this process as [`tie`] does, and keeps it tied when the app changes its user or group,
/// before or after this call. Returns whether it is tied.
pub fn keep_tied() -> bool {
    let tied = tie();
    #[cfg(target_os = "linux")]
    if tied && let Some((parent, _)) = named() {
        linux::keep_tied(parent);
    }
    tied
}

/// Whether this process is tied to its parent.
#[must_use]
pub fn is_tied() -> bool {
    TIED.load(Ordering::Acquire)
}

/// The parent's pid and this process's name in FLAME_LIFELINE; `None` if it has no valid pid.
fn named() -> Option<(i32, String)> {
    let (pid, name) = boot_variables().lifeline()?.to_str()?.split_once(' ')?;
    let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
    Some((pid, name.to_owned()))
}
