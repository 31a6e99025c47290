//! Runners as Lambda invocations, in the emulator: the functions are copies of this suite, and
//! Lambda fails on demand.

mod boots;
mod bursts;
mod conformance;
mod environments;
mod generic;
mod losses;
mod work;

fn main() -> std::process::ExitCode {
    let tests = [
        work::tests(),
        environments::tests(),
        generic::tests(),
        boots::tests(),
        losses::tests(),
        conformance::tests(),
        bursts::tests(),
    ];
    flame_tests::suite(tests.concat())
}
