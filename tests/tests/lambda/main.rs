//! Runners as Lambda invocations, in the emulator: the functions are copies of this suite, and AWS
//! fails in its own ways.

mod boots;
mod bursts;
mod calls;
mod conformance;
mod environments;
mod losses;

fn main() -> std::process::ExitCode {
    let tests = [
        calls::tests(),
        environments::tests(),
        boots::tests(),
        losses::tests(),
        conformance::tests(),
        bursts::tests(),
    ];
    flame_tests::suite(tests.concat())
}
