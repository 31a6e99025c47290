//! Runners on ECS, in the emulator: the tasks are copies of this suite, and ECS fails on demand.

mod boots;
mod code_store;
mod conformance;
mod generic;
mod life;
mod orphans;
mod setup;
mod work;

fn main() -> std::process::ExitCode {
    let tests = [
        work::tests(),
        life::tests(),
        boots::tests(),
        setup::tests(),
        orphans::tests(),
        generic::tests(),
        code_store::tests(),
    ];
    flame_tests::suite_with(tests.concat(), conformance::trials)
}
