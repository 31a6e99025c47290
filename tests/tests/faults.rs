//! What goes wrong, on real processes: each fault gives the typed error that tells the truth,
//! nothing hangs, nothing leaks, and the pool goes on.

#[path = "faults/boots.rs"]
mod boots;
#[path = "faults/builds.rs"]
mod builds;
#[path = "faults/fronts.rs"]
mod fronts;
#[path = "faults/losses.rs"]
mod losses;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/orphans.rs"]
mod orphans;
#[path = "faults/parents.rs"]
mod parents;
#[path = "faults/remains.rs"]
mod remains;
#[path = "faults/runaways.rs"]
mod runaways;
#[path = "faults/strangers.rs"]
mod strangers;

fn main() -> std::process::ExitCode {
    let tests = [
        parents::tests(),
        strangers::tests(),
        boots::tests(),
        builds::tests(),
        fronts::tests(),
        losses::tests(),
        network::tests(),
        orphans::tests(),
        runaways::tests(),
        remains::tests(),
    ];
    flame_tests::suite(tests.concat())
}
