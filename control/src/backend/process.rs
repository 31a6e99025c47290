//! Runners as child processes of this one: copies of this executable, on this machine.
//!
//! The default backend. All that happens on other hosts happens here, too: a socket, TLS, frames,
//! the terminator; so what works here works there.
//!
//! ```text
//! remote_boot ──▶ supervisor (one thread for the process) ── spawn ──▶ child
//!                   reads its output, keeps the last lines, reaps it, tells of its death
//! ```
//!
//! Invariants:
//! - A child never outlives this process, not even when it is killed with -9: the child asks the
//!   kernel for it before its `main` (see [`lifeline`](flame_runner_shim::lifeline)).
//! - No zombie is left: the supervisor waits for every child.
//! - Dropping the backend kills its children.
//! - What a child's functions have started ends with the child, unless it has left the child's
//!   process group.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flame_runner_shim::host::RUNNER_ENV;
use flame_runner_shim::{host, lifeline};
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use crate::error::{BootFailure, BootFailureKind};

mod group;
mod guard;
mod name;
mod output;
mod program;
mod supervisor;

use output::Output;
use supervisor::{Child, Order};

/// Boots copies of this executable as children of this process.
///
/// Each gets this process's arguments, working directory and environment, and what
/// [`env`](Self::env) and [`args`](Self::args) say. Its standard input is empty; what it prints
/// reaches this process's log.
///
/// A copy does what this process did from its `main` on, so it becomes a runner only where `main`
/// gets to [`App::run`](crate::App::run). Until this process has got there, no copy is started:
/// calls that need one get a [`BootFailed`](crate::CallError::BootFailed) that says what to write,
/// and runners for `min` and `spare` are booted as soon as `App::run` is reached. In tests see
/// [Testing code that uses pools](crate::guide::testing).
///
/// A child leads a process group of its own and, on Linux, has no terminal: Ctrl-C and the other
/// signals of a terminal reach this process alone, which decides what they mean for its runners (see
/// [`App::drain_on_signals`](crate::App::drain_on_signals)).
///
/// When a child ends, so does what its functions have started: the processes in its group get
/// SIGKILL. The same happens when this process ends, however it does, if the machine has a `/bin/sh`.
/// A process that has left the group is not found: one of `setsid`, of GNU `timeout`, of a shell with
/// job control.
///
/// On Linux `ps` and `top` show a child as `app:pool`, in at most 15 bytes. Its command line is this
/// process's.
#[derive(Clone)]
pub struct Process {
    program: Option<OsString>,
    args: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    pool: Arc<OnceLock<PoolInfo>>,
    children: Arc<Children>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// Children that are started as this process was.
    #[must_use]
    pub fn new() -> Self {
        Self {
            program: None,
            args: None,
            env: Vec::new(),
            pool: Arc::default(),
            children: Arc::default(),
        }
    }

    /// Another program than this executable; it must be a copy of it, or be given the same
    /// `FLAME_BUILD_ID`, or the pool has [`code_sync`](crate::PoolBuilder::code_sync).
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Other arguments than this process's. They must lead a copy to
    /// [`App::run`](crate::App::run).
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// A variable beside this process's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn command(&self, spec: &BootSpec) -> std::io::Result<std::process::Command> {
        let mut command = match &self.program {
            Some(program) => std::process::Command::new(program),
            None => program::own()?,
        };
        let args = self.args.as_ref().or_else(|| Some(&self.pool.get()?.args));
        command.args(args.into_iter().flatten());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env(FlameParent::ENV, &spec.flame_parent);
        // Where nothing runs before `main`, a parent that is a runner on Lambda has it still; its
        // child is no such runner.
        command.env_remove(RUNNER_ENV);
        let pool = self.pool.get().map_or("", |pool| pool.name.as_str());
        command.env(lifeline::ENV, lifeline::value(&name::of(self.program.as_deref(), pool)));
        Ok(command)
    }
}

#[derive(Default)]
struct Children(Mutex<HashMap<Instance, Child>>);

impl Children {
    fn lock(&self) -> MutexGuard<'_, HashMap<Instance, Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.lock().values().for_each(Child::kill);
    }
}

impl Backend for Process {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Another program has a `main` of its own, and other arguments may lead a copy to where this
    /// process does not get.
    fn starts_this_executable(&self) -> bool {
        self.program.is_none() && self.args.is_none()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            program::check_words(self.args.as_deref().unwrap_or_default(), &self.env)?;
            match &self.program {
                Some(program) => program::check(program)?,
                None => program::own().map(drop).map_err(|error| {
                    BackendError::new(format!("this executable is not found: {error}"))
                })?,
            }
            self.pool.set(pool.clone()).map_err(|_| {
                BackendError::new("a process backend serves one pool: give each pool its own")
            })
        }
        .boxed()
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let pool = self.pool.get();
            let sink = pool.filter(|pool| pool.log).map(|pool| pool.output.clone());
            let output = Output::new(spec.runner, sink);
            let spawned = match self.command(&spec) {
                Ok(command) => supervisor::spawn(Order { command, output }).await,
                Err(error) => Err(error),
            };
            let child = spawned.map_err(|error| {
                let reason = format!("the child process could not be started: {error}");
                BootFailure::of(BootFailureKind::Refused, reason)
            })?;
            let instance = Instance::new(host::process_instance_name(child.pid()));
            let mut death = child.death();
            self.children.lock().insert(instance.clone(), child);
            // Forgets the child once it is dead.
            let (children, name) = (Arc::downgrade(&self.children), instance.clone());
            tokio::spawn(async move {
                let _ = death.wait_for(Option::is_some).await;
                if let Some(children) = children.upgrade() {
                    children.lock().remove(&name);
                }
            });
            Ok(instance)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        if let Some(child) = self.children.lock().get(instance) {
            child.kill();
        }
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let death = self.children.lock().get(instance).map(Child::death);
        until_dead(death).boxed()
    }
}

/// The death of an instance that is known; of one that is not, that it is gone.
pub(super) async fn until_dead(death: Option<watch::Receiver<Option<Death>>>) -> Death {
    let gone = || Death::new("the instance is gone");
    let Some(mut death) = death else { return gone() };
    match death.wait_for(Option::is_some).await {
        Ok(death) => death.clone().unwrap_or_else(gone),
        Err(_) => gone(),
    }
}
