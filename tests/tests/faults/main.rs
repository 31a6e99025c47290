//! Faults, on real processes: each fault gives the typed error that describes it, nothing hangs,
//! nothing leaks, and the pool goes on.

mod addresses;
mod admission;
mod boots;
mod builds;
mod copies_of_copies;
mod impostors;
mod leftover_processes;
mod lost_runners;
mod network;
mod orphans;
mod reachability;

fn main() -> std::process::ExitCode {
    let tests = [
        addresses::tests(),
        admission::tests(),
        impostors::tests(),
        boots::tests(),
        builds::tests(),
        reachability::tests(),
        lost_runners::tests(),
        network::tests(),
        orphans::tests(),
        copies_of_copies::tests(),
        leftover_processes::tests(),
    ];
    flame_tests::suite(tests.concat())
}
