//! How a copy of this executable reaches [`App::run`](super::App::run).
//!
//! A copy runs the same `main` with the same arguments as this process, so it reaches `App::run` if
//! this process does. Tests under a harness are the exception: see [`TestRuntime`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::LazyLock;

use flame_wire::sync::Mutex;
use tokio::runtime::{Handle, Id};

use super::reached;
use crate::backend::{Backend, BootFailure, BootFailureKind};

/// For each runtime of a test, the arguments that make a copy run that test.
static TEST_ARGS: LazyLock<Mutex<HashMap<Id, Vec<OsString>>>> = LazyLock::new(Mutex::default);

/// The arguments with which a copy reaches `App::run`, for a pool that starts here.
pub(crate) fn args() -> Vec<OsString> {
    test_args().unwrap_or_else(|| std::env::args_os().skip(1).collect())
}

/// Why every boot would fail before `App::run` is reached, for a pool that starts here.
pub(crate) fn boots_blocked(backend: &dyn Backend) -> Option<BootFailure> {
    let is_blocked =
        backend.starts_this_executable() && !reached::is_reached() && test_args().is_none();
    is_blocked.then(|| {
        let reason = "no runner was started: this process has not reached `App::run`, so a copy of \
                      it would not reach `App::run` either, and would never become a runner. Let \
                      `main` end with `App::new().run(..)`, and call the pool inside the closure \
                      given to `run`. In a test, use the backend `Local`, or replace `#[tokio::test]` \
                      by `#[flame_aws::test]`, or set `harness = false` and let the test's own `main` \
                      end with `App::run`";
        BootFailure::of(BootFailureKind::Misconfigured, reason)
    })
}

/// Registers a runtime whose test is the closure of an `App` of its own. The `main` of the test
/// harness never calls `App::run`; but with the right arguments it runs the one test that does.
///
/// It is the runtime and not the task that is registered, so that pools started by tasks that the
/// test spawns belong to the test as well.
#[derive(Debug)]
pub(super) struct TestRuntime(Id);

impl TestRuntime {
    /// Registers the runtime until the value is dropped. `args` make a copy run the test.
    pub(super) fn register(runtime: &Handle, args: Vec<OsString>) -> Self {
        TEST_ARGS.lock().insert(runtime.id(), args);
        Self(runtime.id())
    }
}

impl Drop for TestRuntime {
    fn drop(&mut self) {
        TEST_ARGS.lock().remove(&self.0);
    }
}

fn test_args() -> Option<Vec<OsString>> {
    TEST_ARGS.lock().get(&Handle::try_current().ok()?.id()).cloned()
}
