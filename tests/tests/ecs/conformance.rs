//! The conformance suite, on ECS.

use flame_aws::backend::{Ecs, EcsBuilder};
use flame_aws::testing::Conformance;
use flame_tests::emulator::{self, EcsApp};
use libtest_mimic::Trial;

/// The checks, in an AWS account of their own. Building them blocks on a runtime, so it must happen
/// outside of one.
pub(crate) fn trials() -> Vec<Trial> {
    if let Err(why) = emulator::ready() {
        return vec![Trial::test("conformance", move || Err(why.into()))];
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let config = runtime.expect("a runtime").block_on(async {
        let app = EcsApp::new().await;
        app.account.sdk().await
    });
    let backend = move |change: fn(EcsBuilder) -> EcsBuilder| {
        let config = config.clone();
        move || -> Ecs { change(EcsApp::backend_with(config.clone())).build() }
    };
    let suite = move || {
        Conformance::of(backend(|backend| backend))
            .rejects("an unknown cluster", backend(|backend| backend.cluster("nowhere")))
            .rejects(
                "an unknown task definition",
                backend(|backend| backend.task_definition("none")),
            )
            .rejects("an unknown container", backend(|backend| backend.container("other")))
            .rejects("no subnet", backend(|backend| backend.subnets([""; 0])))
            .rejects(
                "a size that Fargate does not have",
                backend(|backend| backend.cpu(256).memory(4_096)),
            )
            .rejects(
                "overrides that are too long",
                backend(|backend| backend.env("BIG", "x".repeat(8_000))),
            )
    };
    flame_tests::conformance_in_both_modes("conformance", suite)
}
