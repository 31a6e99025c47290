//! The life of a pool and its runners: on real processes, which connect directly and through a
//! relay, and partly on the local backend as well.

mod burst;
mod capacity;
mod embedding;
mod idle;
mod last_messages;
mod live_page;
mod logs;
mod metrics;
mod one_port;
mod otel;
mod processes;
mod shutdown;
mod slots;
mod subcommands;
mod terminal;
mod traces;

use flame_tests::{PoolBackend, direct_and_relayed, on};

fn main() -> std::process::ExitCode {
    let on_both_backends = [slots::tests(), capacity::tests()].concat();
    let tests_of_pools = [
        burst::tests(),
        idle::tests(),
        shutdown::tests(),
        last_messages::tests(),
        logs::tests(),
        traces::tests(),
        otel::tests(),
        embedding::tests(),
        on(PoolBackend::Process, &on_both_backends),
    ];
    let tests = [
        direct_and_relayed(&tests_of_pools.concat()),
        on(PoolBackend::Local, &on_both_backends),
        embedding::run_once(),
        one_port::tests(),
        metrics::tests(),
        subcommands::tests(),
        processes::tests(),
        terminal::tests(),
        live_page::tests(),
    ];
    flame_tests::suite(tests.concat())
}
