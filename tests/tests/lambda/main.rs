//! Runners as Lambda invocations, in the emulator: the functions are copies of this suite, and
//! Lambda fails on demand.

mod boots;
mod bursts;
mod code_store;
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
        code_store::tests(),
        boots::tests(),
        losses::tests(),
        conformance::tests(),
        bursts::tests(),
    ];
    flame_tests::suite(tests.concat())
}
