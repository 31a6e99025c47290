//! The pools and relays with which several of these tests start.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, Pool, PoolBuilder};
use flame_tests::demo::gates::{self, Gate};
use flame_tests::process::connected_to;
use flame_tests::relay::TestRelay;
use flame_tests::{TempDir, demo, impostor, process_pool, program, until};
use flame_wire::parent::FlameParent;
use tokio::process::Child;
use tokio::task::JoinHandle;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Times after which a silent connection, and then a runner, is lost: long enough for each fault of
/// these tests, and short enough that a lost runner fails a test soon.
pub(crate) fn patient(pool: PoolBuilder) -> PoolBuilder {
    pool.keepalive_timeout(SECOND).reconnect_timeout(20 * SECOND)
}

/// The shortest times after which a silent connection, and then a runner, is lost.
pub(crate) fn impatient(pool: PoolBuilder) -> PoolBuilder {
    pool.keepalive_timeout(SECOND).reconnect_timeout(SECOND * 3 / 2)
}

/// Starts a pool behind a relay, with one runner. Returns the runner's FLAME_PARENT and process id.
pub(crate) async fn pool_with_a_runner(relay: &TestRelay) -> (Pool, FlameParent, u32) {
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max(1).relay(relay.option()).backend(backend);
    let pool = pool.start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let parent = impostor::flame_parent(&folder.files()[0]);
    (pool, parent, pid)
}

/// Makes a call that waits at a gate. Returns the process id of its runner.
pub(crate) async fn behind_a_gate(pool: &Pool) -> (Gate, JoinHandle<Result<u32, CallError>>, u32) {
    let (mut gate, begun, open) = Gate::new();
    let call = pool.call(gates::gated(begun, open).timeout(None));
    let call = tokio::spawn(async move { call.await.map(|gated| gated.unwrap()) });
    let pid = gate.entered().await;
    (gate, call, pid)
}

/// Waits until something has happened that a call has to survive. Fails at once if the call ends
/// before.
pub(crate) async fn survives<T: std::fmt::Debug>(
    call: &mut JoinHandle<T>,
    what: &str,
    has_happened: impl FnMut() -> bool,
) {
    tokio::select! {
        ended = call => panic!("the call has ended before {what}: {ended:?}"),
        () = until(what, has_happened) => {}
    }
}

/// Returns the relay through which a runner is connected, and the other one.
pub(crate) fn home_and_other(pid: u32, relays: [TestRelay; 2]) -> (TestRelay, TestRelay) {
    let [first, second] = relays;
    if connected_to(pid).contains(&first.address().port()) {
        (first, second)
    } else {
        (second, first)
    }
}

/// An instance whose own process hangs in its boot.
pub(crate) struct HangingInstance {
    pub(crate) pid: u32,
    pub(crate) parent: FlameParent,
    /// Instances that follow this one write to it as well.
    _folder: TempDir,
}

impl HangingInstance {
    /// The variables that make the runners of a parent hang and write their FLAME_PARENT to the
    /// folder.
    pub(crate) fn variables(folder: &TempDir) -> [(&'static str, &str); 2] {
        let folder = folder.path().to_str().unwrap();
        [("DEMO_HANG_IN_BOOT", "1"), ("DEMO_WRITE_PARENT_TO", folder)]
    }

    /// Waits until the instance has started.
    pub(crate) async fn started(folder: TempDir) -> Self {
        until("the instance has started", || !folder.files().is_empty()).await;
        let file = folder.files().remove(0);
        let pid = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
        Self { pid, parent: impostor::flame_parent(&file), _folder: folder }
    }

    /// Starts a runner in place of the process that hangs. It is a child of the test, so it does
    /// not die with its parent, and the parent's backend does not notice its death.
    pub(crate) fn runner(&self) -> Child {
        let flame_parent = self.parent.encode().unwrap();
        program::copy().env(FlameParent::ENV, flame_parent).spawn().unwrap()
    }
}

/// Starts a pool whose only instance hangs.
pub(crate) async fn pool_with_hanging_instance(
    make: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> (Pool, HangingInstance) {
    let folder = TempDir::new();
    let variables = HangingInstance::variables(&folder);
    let backend = variables
        .into_iter()
        .fold(Process::new(), |backend, (name, value)| backend.env(name, value));
    let pool = make(process_pool("test").min(1).max(1).backend(backend)).start().await.unwrap();
    let instance = HangingInstance::started(folder).await;
    (pool, instance)
}
