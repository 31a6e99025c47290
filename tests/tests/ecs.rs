//! Runners on ECS, in the emulator: real tasks of the suite itself, and AWS's ways to fail.

#[path = "ecs/boots.rs"]
mod boots;
#[path = "ecs/calls.rs"]
mod calls;
#[path = "ecs/conformance.rs"]
mod conformance;
#[path = "ecs/life.rs"]
mod life;
#[path = "ecs/orphans.rs"]
mod orphans;
#[path = "ecs/setup.rs"]
mod setup;

fn main() -> std::process::ExitCode {
    let tests = [calls::tests(), life::tests(), boots::tests(), setup::tests(), orphans::tests()];
    flame_tests::suite_with(tests.concat(), conformance::trials)
}
