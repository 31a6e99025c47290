//! The conformance suite, on ECS.

use flame_aws::backend::{Ecs, EcsBuilder};
use flame_aws::testing::Conformance;
use flame_tests::emulator::{self, EcsApp};
use libtest_mimic::Trial;

/// The checks. They begin with an account of theirs, so they must be made outside of a runtime.
pub(crate) fn trials() -> Vec<Trial> {
    if let Err(why) = emulator::ready() {
        return vec![Trial::test("conformance", move || Err(why.into()))];
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let config = runtime.expect("a runtime").block_on(async {
        let app = EcsApp::new().await;
        app.account.sdk().await
    });
    let make = move |change: fn(EcsBuilder) -> EcsBuilder| {
        let config = config.clone();
        move || -> Ecs { change(EcsApp::backend_with(config.clone())).build() }
    };
    let checks = emulator::checks(|| {
        Conformance::of(make(|backend| backend))
            .rejects("an unknown cluster", make(|backend| backend.cluster("nowhere")))
            .rejects("an unknown task definition", make(|backend| backend.task_definition("none")))
            .rejects("an unknown container", make(|backend| backend.container("other")))
            .rejects("no subnet", make(|backend| backend.subnets([""; 0])))
            .rejects("a size that there is not", make(|backend| backend.cpu(256).memory(4_096)))
            .rejects("too long overrides", make(|backend| backend.env("BIG", "x".repeat(8_000))))
    });
    let trials = checks.into_iter().map(|check| {
        let name = format!("conformance::{}", check.name());
        flame_tests::trial(name, move || {
            Box::pin(async move { check.run().await.map_err(|unfit| unfit.to_string()) })
        })
    });
    trials.collect()
}
