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

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::host::RUNNER_ENV;
use flame_runner_shim::{host, lifeline};
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{
    Backend, BackendError, BootFailure, BootFailureKind, BootSpec, Death, Instance, InstanceTable,
    Instances, PoolInfo,
};

mod group;

mod name;
mod output;
mod program;
mod supervisor;
mod watchdog;

use output::ChildOutput;
use supervisor::{KillHandle, SpawnRequest, SpawnedChild};

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
        Self { program: None, args: None, env: Vec::new() }
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
}

impl Backend for Process {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Not another program, which has a `main` of its own, nor other arguments, which may lead a copy
    /// to `App::run` where those of this process do not.
    fn starts_this_executable(&self) -> bool {
        self.program.is_none() && self.args.is_none()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            program::check_words(self.args.as_deref().unwrap_or_default(), &self.env)?;
            match &self.program {
                Some(program) => program::check(program)?,
                None => program::own().map(drop).map_err(|error| {
                    BackendError::new(format!("this executable was not found: {error}"))
                })?,
            }
            let options = self.clone();
            let children = Children { options, pool, children: InstanceTable::new() };
            Ok(Arc::new(children) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

/// The child processes of one pool. Dropping it kills them.
struct Children {
    options: Process,
    pool: PoolInfo,
    children: InstanceTable<KillHandle>,
}

impl Children {
    fn command(&self, flame_parent: &str) -> std::io::Result<std::process::Command> {
        let Process { program, args, env } = &self.options;
        let mut command = match program {
            Some(program) => std::process::Command::new(program),
            None => program::own()?,
        };
        command.args(args.as_ref().unwrap_or(&self.pool.args));
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.env(FlameParent::ENV, flame_parent);
        // On platforms where nothing runs before `main`, a parent that is a runner on Lambda still
        // has this variable in its environment. Its child is not a runner on Lambda.
        command.env_remove(RUNNER_ENV);
        let name = name::of(program.as_deref(), &self.pool.name);
        command.env(lifeline::ENV, lifeline::value(&name));
        Ok(command)
    }

    async fn boot(&self, spec: BootSpec) -> Result<Instance, BootFailure> {
        let log = self.pool.log.then(|| self.pool.output.clone());
        let output = ChildOutput::new(spec.runner, log);
        let spawned = match self.command(&spec.flame_parent) {
            Ok(command) => supervisor::spawn(SpawnRequest { command, output }).await,
            Err(error) => Err(error),
        };
        let SpawnedChild { pid, kill, death } = spawned.map_err(|error| {
            let reason = format!("the child process could not be started: {error}");
            BootFailure::of(BootFailureKind::Refused, reason)
        })?;
        let instance = Instance::new(host::process_instance_name(pid));
        self.children.insert(instance.clone(), kill);
        let (children, child) = (self.children.clone(), instance.clone());
        tokio::spawn(async move {
            let lost = |_| Death::new("the thread that waits for child processes has ended");
            children.record_death(&child, death.await.unwrap_or_else(lost));
        });
        Ok(instance)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.children.for_each(|_, child| child.kill());
    }
}

impl Instances for Children {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        self.boot(spec).boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.children.with(instance, |child| child.kill());
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.children.watch(instance)
    }
}
