//! This process, and copies of it in other roles.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The first argument of the benchmark's own processes. No group has this name.
pub(crate) const AS: &str = "as";

/// Returns a command that starts this executable in another role.
pub(crate) fn copy(role: &[impl AsRef<OsStr>]) -> Command {
    let executable = std::env::current_exe().expect("the path of this executable");
    let mut command = Command::new(executable);
    command.arg(AS).args(role).stdin(Stdio::null());
    command
}

/// Returns the processor time that all threads of this process have used so far.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
