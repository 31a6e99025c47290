//! The conformance suite, on Lambda.

use std::time::Duration;

use flame_aws::testing::Conformance;
use flame_tests::emulator::Function;
use flame_tests::{Test, conformance_checks, tests};
use futures_util::future::join_all;

pub(crate) fn tests() -> Vec<Test> {
    tests![the_backend_passes_the_conformance_suite]
}

/// All checks run concurrently, each with its own backend for the same function.
async fn the_backend_passes_the_conformance_suite() {
    // The suite's calls may take long, and are placed only on runners that live as long.
    let runner = [("FLAME_RUNNER", "lambda")];
    let function = Function::with(Duration::from_secs(900), &runner).await;
    let options = function.backend().await;
    let unnamed = options.clone().function(" ");
    let checks = conformance_checks(|| {
        let (options, unnamed) = (options.clone(), unnamed.clone());
        Conformance::of(move || options.clone().build())
            .rejects("a missing function name", move || unnamed.clone().build())
    });
    assert!(checks.len() > 10);
    let run = checks.iter().map(async |check| (check.name(), check.run().await));
    let unfit: Vec<_> =
        join_all(run).await.into_iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(unfit.is_empty(), "{unfit:#?}");
    // Invocations that the checks made hang run until the function's timeout: Lambda can't end
    // them.
}
