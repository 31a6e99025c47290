//! A backend in one file: copies of this executable, started by `std::process::Command`.
//!
//! `flame_aws::backend::Process` does the same with more care. This one shows what any backend
//! needs: a way to start a copy with FLAME_PARENT, a way to end it, and a way to see it dead.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flame_aws::backend::{Backend, BackendError, BootSpec, Death, Instance, PoolInfo};
use flame_aws::{BootFailure, HostKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// How often a child is looked at. A cloud's API would be asked less often, and for all at once.
const EVERY: Duration = Duration::from_millis(20);

/// Starts copies of a program, by default of this one.
pub struct OwnBackend {
    program: Option<PathBuf>,
    args: OnceLock<Vec<OsString>>,
    children: Arc<Mutex<HashMap<Instance, Booted>>>,
}

/// What is kept of an instance, from its boot to its death.
struct Booted {
    child: Child,
    death: watch::Sender<Option<Death>>,
}

impl OwnBackend {
    /// Copies of the running executable.
    pub fn new() -> Self {
        Self { program: None, args: OnceLock::new(), children: Arc::default() }
    }

    /// Copies of another file, which must be of the same build.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    fn executable(&self) -> std::io::Result<PathBuf> {
        self.program.clone().map_or_else(std::env::current_exe, Ok)
    }
}

impl Backend for OwnBackend {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    // Copies of this executable get to `App::run` only if this process does.
    fn starts_this_executable(&self) -> bool {
        self.program.is_none()
    }

    // Fail early, and name what is missing.
    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        async {
            self.args.get_or_init(|| pool.args.clone());
            let program = self.executable().map_err(|error| {
                BackendError::new(format!("this executable is not found: {error}"))
            })?;
            if program.is_file() {
                return Ok(());
            }
            let program = program.display();
            Err(BackendError::new(format!("`program` is {program}, and no such file is there")))
        }
        .boxed()
    }

    // Order the instance, remember it, return. The pool waits for the runner's hello.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let failed = |error| BootFailure::new(format!("the copy was not started: {error}"));
            let child = Command::new(self.executable().map_err(failed)?)
                .args(self.args.get().into_iter().flatten())
                .env("FLAME_PARENT", &spec.flame_parent)
                .stdin(Stdio::null())
                .spawn()
                .map_err(failed)?;
            // The name that a process of its own gives itself.
            let instance = Instance::new(format!("pid-{}", child.id()));
            let booted = Booted { child, death: watch::Sender::new(None) };
            lock(&self.children).insert(instance.clone(), booted);
            tokio::spawn(look_after(self.children.clone(), instance.clone()));
            Ok(instance)
        }
        .boxed()
    }

    // Idempotent: one that is dead, or was never here, needs no stopping.
    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            match lock(&self.children).get_mut(instance) {
                Some(booted) => booted.child.kill().map_err(|error| {
                    BackendError::new(format!("{instance} can't be killed: {error}"))
                }),
                None => Ok(()),
            }
        }
        .boxed()
    }

    // May be asked more than once, and also after the death.
    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let death = lock(&self.children).get(instance).map(|booted| booted.death.subscribe());
        async move {
            let gone = || Death::new("the instance is gone");
            let Some(mut death) = death else { return gone() };
            match death.wait_for(Option::is_some).await {
                Ok(death) => death.clone().unwrap_or_else(gone),
                Err(_) => gone(),
            }
        }
        .boxed()
    }
}

impl Drop for OwnBackend {
    fn drop(&mut self) {
        for booted in lock(&self.children).values_mut() {
            // Killed, it is dead at once, and reaped it leaves no zombie.
            if booted.child.kill().is_ok() {
                let _ = booted.child.wait();
            }
        }
    }
}

/// Reaps one child, so that no zombie is left, and tells of its death.
async fn look_after(children: Arc<Mutex<HashMap<Instance, Booted>>>, instance: Instance) {
    let death = loop {
        let seen = match lock(&children).get_mut(&instance) {
            Some(booted) => booted.child.try_wait(),
            None => return,
        };
        match seen {
            Ok(None) => tokio::time::sleep(EVERY).await,
            Ok(Some(status)) => {
                let mut death = Death::new(format!("the process ended: {status}"));
                death.exit_code = status.code();
                break death;
            }
            Err(error) => break Death::new(format!("the process can't be waited for: {error}")),
        }
    };
    if let Some(booted) = lock(&children).remove(&instance) {
        booted.death.send_replace(Some(death));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
