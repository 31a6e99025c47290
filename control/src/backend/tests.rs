use flame_wire::hello::NoCodeSync;
use flame_wire::ids::BuildId;
use futures_util::FutureExt;

use super::*;
use crate::code::{Code, may_sync};
use crate::{CallError, Pool, Size, remote};

const SECOND: Duration = Duration::from_secs(1);

#[remote]
async fn nothing() {}

/// Boots instances that never connect and that nothing kills but a stop.
#[derive(Clone, Default)]
struct Unreachable {
    advice: Option<&'static str>,
    instances: InstanceTable<()>,
}

impl Backend for Unreachable {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    fn boot_timeout(&self) -> Duration {
        SECOND
    }

    fn connection_advice(&self) -> Option<&str> {
        self.advice
    }

    fn start(&self, _: PoolInfo) -> BoxFuture<'_, Result<Arc<dyn Instances>, BackendError>> {
        async { Ok(Arc::new(self.clone()) as Arc<dyn Instances>) }.boxed()
    }
}

impl Instances for Unreachable {
    fn remote_boot(&self, spec: BootSpec) -> BoxFuture<'_, Result<Instance, BootFailure>> {
        let instance = Instance::new(spec.runner.to_string());
        self.instances.insert(instance.clone(), ());
        async { Ok(instance) }.boxed()
    }

    fn stop<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), BackendError>> {
        self.instances.record_death(instance, Death::new("it was stopped"));
        async { Ok(()) }.boxed()
    }

    fn watch(&self, instance: &Instance) -> BoxFuture<'static, Death> {
        self.instances.watch(instance)
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_runner_that_never_connects_has_the_backends_advice() {
    for advice in [None, Some("its cable must be plugged in")] {
        let backend = Unreachable { advice, ..Unreachable::default() };
        let pool = Pool::builder("test").backend(backend).start().await.unwrap();
        let failed = pool.call(nothing()).await;
        let Err(CallError::BootFailed(failure)) = failed else { panic!("{failed:?}") };
        assert_eq!(failure.kind, BootFailureKind::TimedOut);
        assert!(failure.reason.contains("can reach ws://127.0.0.1:"), "{failure}");
        assert_eq!(failure.reason.contains("(its cable must be plugged in)"), advice.is_some());
        assert_eq!(failure.reason.contains("needs a relay"), advice.is_some());
        pool.drain().await;
    }
}

#[tokio::test]
async fn code_is_offered_only_where_the_backend_supports_it() {
    // The process offers its executable under one build id: the same as in the tests of `code`.
    let build = BuildId::new("b");
    let code = Code::own(&build).await.unwrap();
    assert_eq!(may_sync(Some(&code), &Process::new()), Ok(()));
    let unsupported = Err(NoCodeSync::UnsupportedHost(HostKind::Local));
    assert_eq!(may_sync(Some(&code), &Local::new()), unsupported);
    assert_eq!(may_sync(None, &Process::new()), Err(NoCodeSync::Disabled));
}

#[tokio::test(start_paused = true)]
async fn runners_in_this_process_stop_when_their_pool_is_gone() {
    let instances = Local::new().start(pool_info()).await.unwrap();
    let instance = instances.remote_boot(boot::testing::spec(HostKind::Local)).await.unwrap();
    let death = instances.watch(&instance);
    drop(instances);
    assert_eq!(death.await.reason, "the runner was stopped");
}

#[tokio::test]
async fn a_child_that_is_dead_before_it_is_watched_tells_why() {
    let backend = Process::new().program("sh").args(["-c", "echo no such host; exit 7"]);
    let instances = backend.start(pool_info()).await.unwrap();
    let spec = boot::testing::spec(HostKind::Process);
    let instance = instances.remote_boot(spec).await.unwrap();
    instances.watch(&instance).await;
    let death = instances.watch(&instance).await;
    assert_eq!((death.exit_code, death.log_tail), (Some(7), vec!["no such host".to_owned()]));
}

#[tokio::test]
async fn one_backend_can_serve_several_pools() {
    let backend = Process::new();
    let _first = Pool::builder("first").backend(backend.clone()).start().await.unwrap();
    let _second = Pool::builder("second").backend(backend).start().await.unwrap();
}

pub(super) fn pool_info() -> PoolInfo {
    PoolInfo {
        has_relay: false,
        name: "test".to_owned(),
        addresses: vec!["ws://127.0.0.1:1".to_owned()],
        boot_timeout: SECOND,
        reconnect_timeout: SECOND,
        shutdown_timeout: SECOND,
        max_lifetime: None,
        size: Size::new(),
        args: Vec::new(),
        output: Arc::new(|_| {}),
        orphan_stopped: Arc::new(|| {}),
        log: false,
    }
}
