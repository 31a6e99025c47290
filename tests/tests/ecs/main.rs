//! Runners on ECS, in the emulator: the tasks are copies of this suite, and ECS fails on demand.

mod boots;
mod code_store;
mod conformance;
mod generic;
mod instances;
mod life;
mod metrics;
mod orphans;
mod permissions;
mod reaper;
mod setup;
mod traces;
mod work;

use flame_tests::direct_and_relayed;

fn main() -> std::process::ExitCode {
    let in_both_modes = [
        work::tests(),
        life::tests(),
        boots::tests(),
        setup::tests(),
        generic::tests(),
        instances::tests(),
    ];
    let direct = [
        // Addresses at which a pool listens, and parents that are tasks and have no relay.
        setup::with_a_listener(),
        boots::with_a_listener(),
        orphans::tests(),
        permissions::tests(),
        reaper::tests(),
        code_store::tests(),
        metrics::tests(),
        traces::tests(),
    ];
    let tests = [direct_and_relayed(&in_both_modes.concat()), direct.concat()];
    flame_tests::suite_with(tests.concat(), conformance::trials)
}
