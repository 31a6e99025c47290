//! Runners as child processes of this process: copies of this executable, on this machine.
//!
//! This is the default backend. A child goes through everything that a runner on another host does:
//! the socket, TLS, frames, the terminator. So an app that works here works there.
//!
//! ```text
//! remote_boot ──▶ supervisor (one thread for the process) ── spawn ──▶ child
//!                   reads its output, keeps the last lines, reaps it, reports its death
//! ```
//!
//! Invariants:
//! - A child never outlives this process, even if this process is killed with SIGKILL: before its
//!   `main`, the child asks the kernel to be killed with its parent (see
//!   [`lifeline`](flame_runner_shim::lifeline)).
//! - No zombie is left: the supervisor waits for every child.
//! - When the pool is gone, its children are killed.
//! - Processes that a child's functions have started are killed with the child, unless they have
//!   left the child's process group.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::boot_variables::LIFELINE_ENV;
use flame_runner_shim::host::RUNNER_ENV;
use flame_runner_shim::{host, lifeline};
use flame_wire::parent::{FlameParent, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::output::RunnerOutput;
use super::{
    Backend, BackendError, BootFailure, BootFailureKind, BootSpec, Death, Instance, InstanceTable,
    Instances, PoolInfo,
};
use crate::cost::InstanceSize;

mod group;
mod name;
mod program;
mod supervisor;
mod watchdog;

use supervisor::{KillHandle, SpawnRequest, SpawnedChild};

/// Boots copies of this executable as children of this process.
///
/// A child inherits this process's arguments, working directory and environment;
/// [`args`](Self::args) replaces the arguments, and [`env`](Self::env) adds variables. Its standard
/// input is empty. The lines that it prints go to this process's log.
///
/// A copy runs the same `main` as this process, so it becomes a runner only if `main` reaches
/// [`App::run`](crate::App::run). The pool starts no copy before this process has reached it: calls
/// that need one fail with a [`BootFailed`](crate::CallError::BootFailed) that explains the fix,
/// and the runners for `min` and `min_free_slots` are booted as soon as `App::run` is reached. For
/// tests, see [Testing code that uses pools](crate::guide::testing).
///
/// A child leads a process group of its own and, on Linux, has no terminal. So Ctrl-C and the other
/// signals of a terminal reach only this process, which decides what they mean for its runners (see
/// [`App::drain_on_signals`](crate::App::drain_on_signals)).
///
/// When a child exits, the processes that its functions have started are killed: every process in
/// its group gets SIGKILL. The same happens when this process exits or is killed, if the machine
/// has a `/bin/sh`. A process that has left the group is not killed. `setsid`, GNU `timeout` and
/// shells with job control start processes in groups of their own.
///
/// On Linux, `ps` and `top` show a child as `app:pool`, in at most 15 bytes. Its command line is
/// the same as this process's.
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
    /// A backend whose children run this executable with this process's arguments.
    #[must_use]
    pub fn new() -> Self {
        Self { program: None, args: None, env: Vec::new() }
    }

    /// Runs another program instead of this executable. The program must be a copy of this
    /// executable or have the same `FLAME_BUILD_ID`, or the pool must have
    /// [`code_sync`](crate::PoolBuilder::code_sync).
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Passes these arguments instead of this process's. With them, a copy must reach
    /// [`App::run`](crate::App::run).
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a variable to the environment that a child inherits.
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

    /// False for another program, which has its own `main`, and for other arguments, with which a
    /// copy may reach `App::run` although this process does not.
    fn starts_this_executable(&self) -> bool {
        self.program.is_none() && self.args.is_none()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            program::check_words(self.args.as_deref().unwrap_or_default(), &self.env)?;
            match &self.program {
                Some(program) => program::check(program)?,
                None => program::own().map(drop).map_err(|error| {
                    BackendError::new(format!("the path of this executable is unknown: {error}"))
                })?,
            }
            pool.warn_of_small_machine();
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
        // On systems other than Linux, a parent that is itself a runner on Lambda still has this
        // variable in its environment. Its child is a plain process.
        command.env_remove(RUNNER_ENV);
        let name = name::of(program.as_deref(), &self.pool.name);
        command.env(LIFELINE_ENV, lifeline::value(&name));
        Ok(command)
    }

    async fn boot(&self, spec: BootSpec) -> Result<Instance, BootFailure> {
        let output = RunnerOutput::new(spec.runner, &self.pool);
        let spawned = match self.command(&spec.flame_parent) {
            Ok(command) => supervisor::spawn(SpawnRequest { command, output }).await,
            Err(error) => Err(error),
        };
        let SpawnedChild { pid, kill, death } = spawned.map_err(|error| {
            let reason = format!("the child process could not be started: {error}");
            BootFailure::of(BootFailureKind::Misconfigured, reason)
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
    fn size(&self) -> InstanceSize {
        InstanceSize::Free
    }

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
