//! Runners as Lambda invocations, in the emulator: the functions are copies of this suite, and
//! Lambda fails on demand.

mod boots;
mod bursts;
mod code_store;
mod conformance;
mod environments;
mod generic;
mod losses;
mod permissions;
mod work;

use flame_tests::direct_and_relayed;

fn main() -> std::process::ExitCode {
    let in_both_modes = [
        work::tests(),
        environments::tests(),
        generic::tests(),
        code_store::tests(),
        boots::tests(),
        losses::tests(),
        bursts::tests(),
        conformance::tests(),
    ];
    let direct = [
        // Addresses at which a pool listens.
        boots::with_a_listener(),
        permissions::tests(),
    ];
    flame_tests::suite([direct_and_relayed(&in_both_modes.concat()), direct.concat()].concat())
}
