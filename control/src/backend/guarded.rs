//! A backend whose panics are failures: it may be anybody's, and a pool outlives it.

use std::any::Any;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Backend, BackendError, BootSpec, Death, Heard, Instance, PoolInfo};
use crate::error::BootFailure;

/// See the [module](self).
pub(crate) struct Guarded(Arc<dyn Backend>);

impl Guarded {
    pub(crate) fn wrap(backend: impl Backend) -> Arc<dyn Backend> {
        Arc::new(Self(Arc::new(backend)))
    }
}

impl Backend for Guarded {
    fn kind(&self) -> HostKind {
        self.0.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.0.boot_timeout()
    }

    fn longest_call(&self) -> Option<Duration> {
        self.0.longest_call()
    }

    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        self.0.address()
    }

    fn starts_this_executable(&self) -> bool {
        self.0.starts_this_executable()
    }

    fn init<'a>(&'a self, pool: &'a PoolInfo) -> BoxFuture<'a, Result<(), BackendError>> {
        let init = async move { self.0.init(pool).await };
        caught(init).map(|done| done.unwrap_or_else(|why| Err(BackendError::new(why)))).boxed()
    }

    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let boot = async move { self.0.remote_boot(spec).await };
        caught(boot).map(|done| done.unwrap_or_else(|why| Err(BootFailure::new(why)))).boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        let stop = async move { self.0.stop(instance).await };
        caught(stop).map(|done| done.unwrap_or_else(|why| Err(BackendError::new(why)))).boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let (backend, instance) = (self.0.clone(), instance.clone());
        async move {
            let watch = async { backend.watch(&instance).await };
            match caught(watch).await {
                Ok(death) => death,
                // It may live and serve: that its link is lost is seen without a watch.
                Err(why) => {
                    log_writer::event(move || {
                        tracing::error!(%instance, why, "an instance is not watched any more");
                    });
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }

    fn heard(&self, instance: &Instance, what: Heard) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.0.heard(instance, what))) {
            let (instance, why) = (instance.clone(), said(panic.as_ref()));
            log_writer::event(move || tracing::error!(%instance, why, "a runner's word was lost"));
        }
    }
}

/// What it gives, or what it panicked with.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| said(panic.as_ref()))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the backend panicked: {}", text.unwrap_or("without a message"))
}
