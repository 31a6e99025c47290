//! Clients of a relay that are not the runners of its parents.

use flame_link::{HelloError, dial};
use flame_tests::process::drains_cleanly;
use flame_tests::relay::TestRelay;
use flame_tests::{Test, demo, impostor, tests};
use flame_wire::hello::Rejection;
use flame_wire::parent::Fingerprint;

use crate::fixtures::pool_with_a_runner;

pub(crate) fn tests() -> Vec<Test> {
    tests![an_unknown_runner_and_a_used_token_are_rejected,]
}

async fn an_unknown_runner_and_a_used_token_are_rejected() {
    let relay = TestRelay::start();
    let (pool, parent, pid) = pool_with_a_runner(&relay).await;

    let unknown = format!("{}/v1/runner/f-{}", relay.url(), "9".repeat(32));
    let error = dial(&unknown, parent.fingerprint).await.unwrap_err();
    assert!(error.to_string().contains("HTTP status 404"), "{error}");
    let error = dial(&parent.addresses[0], Fingerprint([0; 32])).await.unwrap_err();
    assert!(matches!(error, flame_link::DialError::Tls { .. }), "{error:?}");
    // The relay connects the impostor, but the parent does not admit it: the token is used.
    let refused = impostor::connect(&parent, &impostor::hello(&parent)).await;
    assert!(matches!(refused, Err(HelloError::Rejected(Rejection::UsedToken))), "{refused:?}");
    assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    drains_cleanly(&pool, &[pid]).await;
}
