//! The life of a pool and its runners: on real processes, and partly on the local backend as well.

mod burst;
mod capacity;
mod embedding;
mod idle;
mod last_messages;
mod logs;
mod one_port;
mod processes;
mod shutdown;
mod slots;
mod subcommands;
mod terminal;
mod traces;

use flame_tests::{PoolBackend, on};

fn main() -> std::process::ExitCode {
    let on_both_backends = [slots::tests(), capacity::tests()].concat();
    let tests = [
        burst::tests(),
        idle::tests(),
        shutdown::tests(),
        last_messages::tests(),
        logs::tests(),
        traces::tests(),
        embedding::tests(),
        one_port::tests(),
        subcommands::tests(),
        processes::tests(),
        terminal::tests(),
        on(PoolBackend::Process, &on_both_backends),
        on(PoolBackend::Local, &on_both_backends),
    ];
    flame_tests::suite(tests.concat())
}
