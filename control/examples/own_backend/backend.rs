//! A backend in one file: copies of this executable, started by `std::process::Command`.
//!
//! `flame_aws::backend::Process` does the same with more care. This one shows what every backend
//! needs: a way to start a copy with FLAME_PARENT, a way to kill it, and a way to see it die.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flame_aws::HostKind;
use flame_aws::backend::{
    Backend, BackendError, BootFailure, BootSpec, Death, Instance, InstanceTable, Instances,
    PoolInfo,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// How often a child is polled. A cloud's API would be polled less often, for all instances at
/// once.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The configuration: which program to start.
pub struct OwnBackend {
    program: Option<PathBuf>,
}

impl OwnBackend {
    /// Copies of the running executable.
    pub fn new() -> Self {
        Self { program: None }
    }

    /// Copies of another file, which must be the same build.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }
}

impl Backend for OwnBackend {
    // Anything that starts a process with an environment is a `Process`.
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    // A copy of this executable reaches `App::run` only if this process does.
    fn starts_this_executable(&self) -> bool {
        self.program.is_none()
    }

    // Fail early, and name what is missing.
    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async move {
            let program = self.program.clone().map_or_else(std::env::current_exe, Ok);
            let program = program.map_err(|error| {
                BackendError::new(format!("this executable was not found: {error}"))
            })?;
            if !program.is_file() {
                let program = program.display();
                return Err(BackendError::new(format!(
                    "`program` is {program}, but there is no such file"
                )));
            }
            let children = InstanceTable::new();
            Ok(Arc::new(Children { program, args: pool.args, children }) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

/// The children of one pool.
struct Children {
    program: PathBuf,
    args: Vec<OsString>,
    children: InstanceTable<Child>,
}

impl Instances for Children {
    // Start the copy, register it, return. The pool waits for the runner to connect.
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        async move {
            let child = Command::new(&self.program)
                .args(&self.args)
                .env("FLAME_PARENT", &spec.flame_parent)
                .stdin(Stdio::null())
                .spawn()
                .map_err(|error| BootFailure::new(format!("starting the copy failed: {error}")))?;
            // A runner in a process of its own reports this id, too.
            let instance = Instance::new(format!("pid-{}", child.id()));
            self.children.insert(instance.clone(), child);
            tokio::spawn(wait_for_exit(self.children.clone(), instance.clone()));
            Ok(instance)
        }
        .boxed()
    }

    // Idempotent: an instance that is dead or unknown needs no stopping.
    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        async move {
            match self.children.with(instance, Child::kill) {
                Some(Err(error)) => {
                    Err(BackendError::new(format!("killing {instance} failed: {error}")))
                }
                Some(Ok(())) | None => Ok(()),
            }
        }
        .boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.children.watch(instance)
    }
}

// The pool is gone: kill the children that are left.
impl Drop for Children {
    fn drop(&mut self) {
        self.children.for_each(|_, child| {
            // A killed child exits at once, and waiting for it leaves no zombie.
            if child.kill().is_ok() {
                let _ = child.wait();
            }
        });
    }
}

/// Waits for a child, which leaves no zombie, and records its death.
async fn wait_for_exit(children: InstanceTable<Child>, instance: Instance) {
    while let Some(polled) = children.with(&instance, Child::try_wait) {
        let death = match polled {
            Ok(None) => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Ok(Some(status)) => {
                let mut death = Death::new(format!("the process exited: {status}"));
                death.exit_code = status.code();
                death
            }
            Err(error) => Death::new(format!("waiting for the process failed: {error}")),
        };
        children.record_death(&instance, death);
    }
}
