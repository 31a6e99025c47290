//! A child of the process backend never outlives its parent.
//!
//! ```text
//!   parent: FLAME_LIFELINE=<its pid> <name> ──spawn──▶ child, before main: ask the kernel for SIGKILL at
//!                                               the parent's death, then look: still its child?
//! ```
//!
//! The parent only sets a variable, so it can spawn without `pre_exec`, which would cost a full
//! fork. The child ties itself, before `main`: no code of the app's can hang or fail ahead of it.
//!
//! # Invariants
//!
//! * However the parent ends, `kill -9` included, and whenever it does, also between the spawn and
//!   the tie, the child gets SIGKILL.
//! * A process without the variable is left alone, as is a plain command that a runner starts: the
//!   runner has taken the variable out of its environment. Where it was inherited all the same, its
//!   parent is not the one that is named.
//!
//! # Linux
//!
//! `PR_SET_PDEATHSIG` is bound to the *thread* that spawned the child, not to its process: the
//! process backend must spawn from one thread that lives as long as the process does.
//!
//! The kernel forgets the request when the process changes its user, its group or its capabilities:
//! an app may give up its privileges in `main`. So [`keep`], called when a runner starts to serve,
//! asks again, and waits for the parent's end on a thread of its own, should the app give up
//! privileges even later.
//!
//! # Elsewhere
//!
//! There is no such request, and nothing runs before `main`. [`hold`], called when a runner starts
//! to serve, watches the parent's pid from a thread, ten times a second.

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

/// The variable that names the parent whose death ends this process.
pub const ENV: &str = "FLAME_LIFELINE";

/// Whether this process is tied to its parent.
static TIED: AtomicBool = AtomicBool::new(false);

/// What a parent sets [`ENV`] to for a child that is to be called `name` where processes are listed;
/// 15 bytes of it count.
#[must_use]
pub fn value(name: &str) -> String {
    format!("{} {name}", std::process::id())
}

/// Ties this process to the parent that [`ENV`] names, unless that has been done. Returns whether
/// it is tied: `false` for a process that has no lifeline, or has inherited somebody else's.
///
/// A process that is tied leaves its parent's terminal, and takes its name, on Linux.
///
/// On Linux this has happened before `main`; runners call it all the same, for platforms where it
/// has not.
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

/// Ties this process as [`hold`] does, and keeps it tied, whatever the app has done in the meantime,
/// or does later, to its user and group. Returns whether it is tied.
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

/// The parent's pid and this process's name in [`ENV`]. Text that is no pid ties to nobody.
fn named() -> Option<(i32, String)> {
    let (pid, name) = boot_variables().lifeline()?.to_str()?.split_once(' ')?;
    let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
    Some((pid, name.to_owned()))
}
