//! Parents and runners that do not come back within the reconnect timeout.

use flame_aws::{CallError, Relay};
use flame_runner_shim::exit_code::EXIT_PARENT_LOST;
use flame_tests::process::{drains_cleanly, until_gone};
use flame_tests::program::Program;
use flame_tests::proxy::{Network, Proxy};
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{TempDir, Test, Watcher, tests};

use crate::fixtures::{HangingInstance, behind_a_gate, impatient, pool_with_hanging_instance};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_runner_whose_parent_is_killed_exits_after_the_reconnect_timeout,
        a_runner_and_a_parent_that_is_cut_off_from_its_relay_give_each_other_up,
        a_parent_whose_runner_does_not_come_back_loses_it_and_stops_its_instance,
    ]
}

async fn a_runner_whose_parent_is_killed_exits_after_the_reconnect_timeout() {
    let (relay, folder) = (TestRelay::start(), TempDir::new());
    let relay_variables = relay.variables();
    let relay_variables = relay_variables.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> =
        HangingInstance::variables(&folder).into_iter().chain(relay_variables).collect();
    let mut parent = Program::start("impatient_parent", &variables);
    let instance = HangingInstance::started(folder).await;
    let mut runner = instance.runner();
    parent.until_ready().await;
    assert!(runner.try_wait().unwrap().is_none(), "the runner serves");
    parent.kill().await;
    assert_eq!(runner.wait().await.unwrap().code(), Some(EXIT_PARENT_LOST));
}

async fn a_runner_and_a_parent_that_is_cut_off_from_its_relay_give_each_other_up() {
    let relay = TestRelay::start();
    let proxy = Proxy::start(relay.address(), 1).await;
    let option = Relay::new(proxy.address()).key(KEY);
    let (pool, mut instance) =
        pool_with_hanging_instance(|pool| impatient(pool.relay(option))).await;
    let mut watcher = Watcher::new(&pool);
    // Only the parent connects through the proxy.
    let runner = instance.parent.runner;
    instance.parent.addresses = vec![format!("{}/v1/runner/{runner}", relay.url())];
    let mut runner = instance.runner();
    let (_gate, call, _) = behind_a_gate(&pool).await;
    proxy.set(Network::Down);
    let error = call.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("not resumed in time"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    assert_eq!(runner.wait().await.unwrap().code(), Some(EXIT_PARENT_LOST));
    until_gone(&[instance.pid]).await;
    drains_cleanly(&pool, &[]).await;
}

async fn a_parent_whose_runner_does_not_come_back_loses_it_and_stops_its_instance() {
    let relay = TestRelay::start();
    let option = relay.option();
    let (pool, instance) = pool_with_hanging_instance(|pool| impatient(pool.relay(option))).await;
    let mut watcher = Watcher::new(&pool);
    let mut runner = instance.runner();
    let (_gate, call, _) = behind_a_gate(&pool).await;
    // The instance's own process lives on, so only the connection shows the loss.
    runner.kill().await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    let CallError::RunnerLost { started: true, reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("not resumed in time"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    until_gone(&[instance.pid]).await;
    drains_cleanly(&pool, &[]).await;
}
