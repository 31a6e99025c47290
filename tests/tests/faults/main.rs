//! What goes wrong, on real processes: each fault gives the typed error that tells the truth,
//! nothing hangs, nothing leaks, and the pool goes on.

mod boots;
mod builds;
mod fronts;
mod losses;
mod network;
mod orphans;
mod parents;
mod remains;
mod runaways;
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
