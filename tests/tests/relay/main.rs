//! Pools whose runners connect through a relay: what their parent does when relays, runners or the
//! network between them fail, and what strangers at the relay can do.

mod addresses;
mod back_pressure;
mod draining;
mod fixtures;
mod load_balancer;
mod lost_peers;
mod lost_relays;
mod page;
mod processes;
mod secrets;
mod start;
mod strangers;

fn main() -> std::process::ExitCode {
    let tests = [
        start::tests(),
        addresses::tests(),
        strangers::tests(),
        lost_relays::tests(),
        lost_peers::tests(),
        draining::tests(),
        page::tests(),
        processes::tests(),
        back_pressure::tests(),
        load_balancer::tests(),
        secrets::tests(),
    ];
    flame_tests::suite(tests.concat())
}
