//! Processes that functions have started and left running: they die with their runner, however the
//! runner exits.

use std::time::Duration;

use flame_tests::demo::commands;
use flame_tests::process::{drains_cleanly, is_gone, kill, until_gone};
use flame_tests::program::Program;
use flame_tests::terminal::{CTRL_C, ENV, Terminal};
use flame_tests::{Test, Watcher, as_root, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    let tests = tests![
        a_leftover_process_dies_with_a_killed_runner,
        a_leftover_process_dies_with_a_drained_runner,
        a_leftover_process_dies_with_a_runner_that_idles_out,
        a_leftover_process_dies_with_a_single_use_runner,
        leftover_processes_die_with_a_killed_parent,
        leftover_processes_die_with_a_parent_that_returns,
        leftover_processes_die_with_a_parent_killed_by_ctrl_c,
        a_drained_pool_leaves_its_parent_no_child,
    ];
    let privileged = tests![a_runner_that_gives_up_its_privileges_dies_with_its_parent];
    [tests, as_root(privileged)].concat()
}

async fn a_leftover_process_dies_with_a_killed_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let runner = pool.call(demo::pid()).await.unwrap();
    let leftover = pool.call(commands::leaves_a_process()).await.unwrap().unwrap();
    assert!(!is_gone(leftover));
    kill(runner);
    watcher.lost().await;
    until_gone(&[leftover]).await;
    drains_cleanly(&pool, &[runner]).await;
}

async fn a_leftover_process_dies_with_a_drained_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let leftover = pool.call(commands::leaves_a_process()).await.unwrap().unwrap();
    drains_cleanly(&pool, &[]).await;
    // The pool has killed the process's group, but the kernel may not have ended it yet.
    until_gone(&[leftover]).await;
}

async fn a_leftover_process_dies_with_a_runner_that_idles_out() {
    let pool = process_pool("test").max(1).idle_shutdown_after(Duration::from_millis(100));
    let pool = pool.start().await.unwrap();
    let leftover = pool.call(commands::leaves_a_process()).await.unwrap().unwrap();
    until_gone(&[leftover]).await;
    drains_cleanly(&pool, &[]).await;
}

async fn a_leftover_process_dies_with_a_single_use_runner() {
    let pool = process_pool("test").max(1).single_use(true).start().await.unwrap();
    let leftover = pool.call(commands::leaves_a_process()).await.unwrap().unwrap();
    until_gone(&[leftover]).await;
    drains_cleanly(&pool, &[]).await;
}

/// Waits until a program is ready, and returns its leftover processes.
async fn leftovers_of(program: &mut Program) -> Vec<u32> {
    program.until_ready().await.into_iter().map(|(_, pid)| pid).collect()
}

async fn leftover_processes_die_with_a_killed_parent() {
    let mut program = Program::start("keeps_leftover_processes", &[]);
    let leftovers = leftovers_of(&mut program).await;
    assert!(leftovers.iter().all(|pid| !is_gone(*pid)));
    program.kill().await;
    until_gone(&leftovers).await;
}

async fn leftover_processes_die_with_a_parent_that_returns() {
    let mut program = Program::start("exits_with_leftover_processes", &[]);
    let leftovers = leftovers_of(&mut program).await;
    program.finish().await;
    until_gone(&leftovers).await;
}

async fn leftover_processes_die_with_a_parent_killed_by_ctrl_c() {
    let terminal = Terminal::new();
    let mut program = Program::start("keeps_leftover_processes", &[(ENV, terminal.name())]);
    let leftovers = leftovers_of(&mut program).await;
    terminal.press(CTRL_C);
    assert_eq!(program.status().await.to_string(), "signal: 2 (SIGINT)");
    until_gone(&leftovers).await;
}

async fn a_drained_pool_leaves_its_parent_no_child() {
    Program::start("drains_every_child", &[]).finish().await;
}

async fn a_runner_that_gives_up_its_privileges_dies_with_its_parent() {
    let mut program = Program::start("with_an_unprivileged_runner", &[]);
    let runner = program.until_ready().await[0].1;
    program.kill().await;
    until_gone(&[runner]).await;
}
