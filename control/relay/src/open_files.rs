//! The number of files that the process may open. Each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the operating system lets this process, and returns it; `None` if
/// there is no limit. Many systems start processes with a limit of 1024.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_) => before,
    }
}
