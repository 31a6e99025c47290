//! How a pool lives, on real processes and, where that is the same, on the local backend.

#[path = "life/burst.rs"]
mod burst;
#[path = "life/calls.rs"]
mod calls;
#[path = "life/capacity.rs"]
mod capacity;
#[path = "life/embedding.rs"]
mod embedding;
#[path = "life/ends.rs"]
mod ends;
#[path = "life/idle.rs"]
mod idle;
#[path = "life/logs.rs"]
mod logs;
#[path = "life/processes.rs"]
mod processes;
#[path = "life/subcommands.rs"]
mod subcommands;
#[path = "life/tails.rs"]
mod tails;
#[path = "life/terminal.rs"]
mod terminal;
#[path = "life/traces.rs"]
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
