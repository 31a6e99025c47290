//! Runners on ECS, in the emulator: the tasks are copies of this suite, and ECS fails on demand.

mod boots;
mod conformance;
mod generic;
mod life;
mod orphans;
mod reaper;
mod setup;
mod work;

fn main() -> std::process::ExitCode {
    let tests = [
        work::tests(),
        life::tests(),
        boots::tests(),
        setup::tests(),
        orphans::tests(),
        reaper::tests(),
        generic::tests(),
    ];
    flame_tests::suite_with(tests.concat(), conformance::trials)
}
