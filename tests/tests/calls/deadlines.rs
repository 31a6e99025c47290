//! A call's time, and its slot, when the one is over before the function is.

use std::time::Duration;

use flame_aws::{CallError, Phase};
use flame_tests::mischief::{self, Gate};
use flame_tests::{Test, demo, pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![a_plain_function_beyond_its_deadline_keeps_its_slot_until_it_returns,]
}

const SHORT: Duration = Duration::from_millis(300);

fn ran_out(error: &CallError) -> bool {
    matches!(error, CallError::Timeout { phase: Phase::Run, .. })
}

async fn a_plain_function_beyond_its_deadline_keeps_its_slot_until_it_returns() {
    let pool = pool("test").max(1).max_concurrency(1).start().await.unwrap();
    pool.call(demo::double(1)).await.unwrap();
    // A caller that gives the call up as it is late, and one that leaves that to the runner.
    for detached in [false, true] {
        let (mut gate, begun, open) = Gate::new();
        let work = mischief::gated_plainly(begun, open).timeout(SHORT);
        let call = tokio::spawn(pool.call(if detached { work.detached() } else { work }));
        gate.entered().await;
        let late = call.await.unwrap().unwrap_err();
        assert!(ran_out(&late), "{late:?}");
        let full = pool.call(demo::double(1).timeout(SHORT)).await;
        assert!(matches!(full, Err(CallError::Timeout { phase: Phase::Queue, .. })), "{full:?}");
        gate.open();
        assert_eq!(pool.call(demo::double(1)).await.unwrap(), 2);
    }
    pool.drain().await;
}
