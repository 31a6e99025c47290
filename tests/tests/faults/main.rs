//! Faults, on real processes, which connect directly and through a relay: each fault gives the typed error that describes it, nothing hangs,
//! nothing leaks, and the pool goes on.

mod addresses;
mod admission;
mod boots;
mod builds;
mod copies_of_copies;
mod fly;
mod impostors;
mod leftover_processes;
mod lost_runners;
mod network;
mod offered_builds;
mod orphans;
mod reachability;

use flame_tests::direct_and_relayed;

fn main() -> std::process::ExitCode {
    let in_both_modes = [
        admission::tests(),
        impostors::tests(),
        boots::tests(),
        builds::tests(),
        lost_runners::tests(),
        network::tests(),
        orphans::tests(),
        copies_of_copies::tests(),
        leftover_processes::tests(),
    ];
    let direct = [
        // Two addresses of one listener. The suite `relay` has the test with two relays.
        addresses::tests(),
        // A relay does not lead such a runner to its parent.
        admission::at_the_listener(),
        // A parent notices a half-open control connection later than these tests allow.
        network::half_open(),
        // The parent is the test itself.
        offered_builds::tests(),
        // An address that the pool advertises, and what is in front of it.
        reachability::tests(),
        // Machines of a stand-in for Fly.
        fly::tests(),
    ];
    flame_tests::suite([direct_and_relayed(&in_both_modes.concat()), direct.concat()].concat())
}
