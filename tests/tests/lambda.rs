//! Runners as Lambda invocations, in the emulator: the functions are copies of this suite, and AWS
//! fails in its own ways.

#[path = "lambda/boots.rs"]
mod boots;
#[path = "lambda/bursts.rs"]
mod bursts;
#[path = "lambda/calls.rs"]
mod calls;
#[path = "lambda/conforms.rs"]
mod conforms;
#[path = "lambda/environments.rs"]
mod environments;
#[path = "lambda/losses.rs"]
mod losses;

fn main() -> std::process::ExitCode {
    let tests = [
        calls::tests(),
        environments::tests(),
        boots::tests(),
        losses::tests(),
        conforms::tests(),
        bursts::tests(),
    ];
    flame_tests::suite(tests.concat())
}
