//! Runners on ECS, in the emulator: real tasks of the suite itself, and AWS's ways to fail.

#[path = "ecs/calls.rs"]
mod calls;

fn main() -> std::process::ExitCode {
    flame_tests::suite([calls::tests()].concat())
}
