//! How a copy of this executable gets to [`App::run`](super::App::run).
//!
//! It does what this process did, with the same arguments; so it gets there if this process has.
//! The exception is a test under a harness: see [`InTest`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Id};

use super::reached;
use crate::backend::{Backend, BootFailure, BootFailureKind};

/// The arguments with which copies for pools of a test's runtime select that test.
static IN_TESTS: LazyLock<Mutex<HashMap<Id, Vec<OsString>>>> = LazyLock::new(Mutex::default);

/// The arguments with which a copy gets to `App::run`, for a pool that is started here.
pub(crate) fn args() -> Vec<OsString> {
    in_test().unwrap_or_else(|| std::env::args_os().skip(1).collect())
}

/// Why every boot would be in vain before `App::run` is reached, for a pool that is started here.
pub(crate) fn barred(backend: &dyn Backend) -> Option<BootFailure> {
    let in_vain = backend.starts_this_executable() && !reached::is() && in_test().is_none();
    in_vain.then(|| {
        let reason = "no runner was started: this process has not reached `App::run`, so a copy of \
                      it would not reach it either, and would never become a runner. Let `main` end \
                      in `App::new().run(..)`, and call the pool inside the closure given to it. In \
                      a test, give the pool the backend `Local`, or write `#[flame_aws::test]` in \
                      place of `#[tokio::test]`, or set `harness = false` and end the test's own \
                      `main` in `App::run`";
        BootFailure::of(BootFailureKind::Refused, reason)
    })
}

/// A runtime in which a test runs that is the closure of an `App` of its own. The harness's `main`
/// never calls `App::run`, but selects the test by the right arguments, and the test does.
///
/// The runtime and not the task, so that pools of tasks that the test spawns are its pools, too.
#[derive(Debug)]
pub(super) struct InTest(Id);

impl InTest {
    /// Until the value is dropped. `args` select the test.
    pub(super) fn enter(runtime: &Handle, args: Vec<OsString>) -> Self {
        lock().insert(runtime.id(), args);
        Self(runtime.id())
    }
}

impl Drop for InTest {
    fn drop(&mut self) {
        lock().remove(&self.0);
    }
}

fn in_test() -> Option<Vec<OsString>> {
    lock().get(&Handle::try_current().ok()?.id()).cloned()
}

fn lock() -> MutexGuard<'static, HashMap<Id, Vec<OsString>>> {
    IN_TESTS.lock().unwrap_or_else(PoisonError::into_inner)
}
