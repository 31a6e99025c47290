//! The conformance suite, on Lambda.

use std::time::Duration;

use flame_aws::testing::Conformance;
use flame_tests::emulator::{self, Function};
use flame_tests::{Test, tests};
use futures_util::future::join_all;

pub(crate) fn tests() -> Vec<Test> {
    tests![it_keeps_what_a_pool_relies_on]
}

/// All checks at once, each with a backend of its own over one function.
async fn it_keeps_what_a_pool_relies_on() {
    // The suite's calls may take long, and go to no runner that may end before.
    let runner = [("FLAME_RUNNER", "lambda")];
    let function = Function::with(Duration::from_secs(900), &runner).await;
    let options = function.backend().await;
    let nameless = options.clone().function(" ");
    let checks = emulator::checks(|| {
        let (options, nameless) = (options.clone(), nameless.clone());
        Conformance::of(move || options.clone().build())
            .rejects("a function without a name", move || nameless.clone().build())
    });
    assert!(checks.len() > 10);
    let run = checks.iter().map(async |check| (check.name(), check.run().await));
    let unfit: Vec<_> =
        join_all(run).await.into_iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(unfit.is_empty(), "{unfit:#?}");
    // What the checks have led astray runs on to the function's timeout: nobody can end it.
}
