//! Turns the panics of a backend into errors: a backend is other people's code, and the pool
//! outlives it.

use std::any::Any;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flame_runner_shim::log_writer;
use flame_wire::parent::HostKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{
    Backend, BackendError, BootFailure, BootSpec, BootTimes, Death, Instance, InstanceEvent,
    Instances, PoolInfo,
};
use crate::cost::InstanceSize;

/// A [`Backend`], or its [`Instances`], whose panics are errors.
pub(crate) struct CatchPanics<T: ?Sized>(Arc<T>);

impl CatchPanics<dyn Backend> {
    pub(crate) fn wrap(backend: impl Backend) -> Arc<dyn Backend> {
        Arc::new(Self(Arc::new(backend)))
    }
}

impl Backend for CatchPanics<dyn Backend> {
    fn kind(&self) -> HostKind {
        self.0.kind()
    }

    fn boot_timeout(&self) -> Duration {
        self.0.boot_timeout()
    }

    fn address(&self) -> BoxFuture<'_, Option<IpAddr>> {
        self.0.address()
    }

    fn starts_this_executable(&self) -> bool {
        self.0.starts_this_executable()
    }

    fn supports_code_sync(&self) -> bool {
        self.0.supports_code_sync()
    }

    fn connection_advice(&self) -> Option<&str> {
        self.0.connection_advice()
    }

    fn start(&self, pool: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        let start = async move { self.0.start(pool).await };
        async {
            let instances = catch(start).await.map_err(BackendError::new)??;
            Ok(Arc::new(CatchPanics(instances)) as Arc<dyn Instances>)
        }
        .boxed()
    }
}

impl Instances for CatchPanics<dyn Instances> {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let boot = async move { self.0.remote_boot(spec).await };
        async { catch(boot).await.map_err(BootFailure::new)? }.boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        let stop = async move { self.0.stop(instance).await };
        async { catch(stop).await.map_err(BackendError::new)? }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        let (instances, instance) = (self.0.clone(), instance.clone());
        async move {
            let watch = async { instances.watch(&instance).await };
            match catch(watch).await {
                Ok(death) => death,
                // The instance may be alive and serving. If it dies, the pool loses its link.
                Err(panic) => {
                    log_writer::event(move || {
                        tracing::error!(
                            %instance, panic,
                            "watching an instance failed; the pool will notice its death only by \
                             the lost link"
                        );
                    });
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }

    fn longest_call(&self) -> Option<Duration> {
        self.0.longest_call()
    }

    fn boot_times(&self, instance: &Instance) -> BoxFuture<'static, BootTimes> {
        let (instances, instance) = (self.0.clone(), instance.clone());
        let times = async move { instances.boot_times(&instance).await };
        // They are for metrics only.
        async { catch(times).await.unwrap_or_default() }.boxed()
    }

    fn size(&self) -> InstanceSize {
        catch_unwind(AssertUnwindSafe(|| self.0.size())).unwrap_or(InstanceSize::Unknown)
    }

    fn notify(&self, instance: &Instance, event: InstanceEvent) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.0.notify(instance, event))) {
            let (instance, panic) = (instance.clone(), describe(panic.as_ref()));
            log_writer::event(move || {
                tracing::error!(%instance, ?event, panic, "notifying the backend failed");
            });
        }
    }
}

/// The future's output, or a description of its panic.
async fn catch<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| describe(panic.as_ref()))
}

fn describe(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the backend panicked: {}", text.unwrap_or("without a message"))
}
