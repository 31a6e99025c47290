//! Runners on ECS, in the emulator: real tasks of the suite itself, and AWS's ways to fail.

mod boots;
mod calls;
mod conformance;
mod life;
mod orphans;
mod setup;

fn main() -> std::process::ExitCode {
    let tests = [calls::tests(), life::tests(), boots::tests(), setup::tests(), orphans::tests()];
    flame_tests::suite_with(tests.concat(), conformance::trials)
}
