//! How a pool lives, on real processes and, where that is the same, on the local backend.

mod burst;
mod calls;
mod capacity;
mod embedding;
mod ends;
mod idle;
mod logs;
mod processes;
mod subcommands;
mod tails;
mod terminal;
mod traces;

use flame_tests::{Backend, on};

fn main() -> std::process::ExitCode {
    let on_both = [calls::tests(), capacity::tests()].concat();
    let tests = [
        burst::tests(),
        idle::tests(),
        ends::tests(),
        tails::tests(),
        logs::tests(),
        traces::tests(),
        embedding::tests(),
        subcommands::tests(),
        processes::tests(),
        terminal::tests(),
        on(Backend::Process, &on_both),
        on(Backend::Local, &on_both),
    ];
    flame_tests::suite(tests.concat())
}
