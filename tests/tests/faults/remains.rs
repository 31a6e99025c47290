//! Processes that functions have started: they end with their runner, however that ends. And what
//! ties a runner to its parent.

use std::time::Duration;

use flame_tests::mischief;
use flame_tests::process::{ends_clean, is_gone, kill, until_gone};
use flame_tests::program::Program;
use flame_tests::terminal::{CTRL_C, ENV, Terminal};
use flame_tests::{Test, Watcher, as_root, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    let tests = tests![
        what_a_function_started_ends_with_a_runner_that_is_killed,
        what_a_function_started_ends_with_a_runner_that_is_drained,
        what_a_function_started_ends_with_a_runner_that_idles_out,
        what_a_function_started_ends_with_a_runner_for_a_single_call,
        what_functions_started_ends_with_a_parent_that_is_killed,
        what_functions_started_ends_with_a_parent_that_returns,
        what_functions_started_ends_with_a_parent_at_ctrl_c,
        a_pool_that_has_drained_leaves_its_parent_no_child,
    ];
    let privileged = tests![a_runner_that_gives_up_its_privileges_dies_with_its_parent];
    [tests, as_root(privileged)].concat()
}

async fn what_a_function_started_ends_with_a_runner_that_is_killed() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let mut watcher = Watcher::new(&pool);
    let runner = pool.call(demo::pid()).await.unwrap();
    let left = pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap();
    assert!(!is_gone(left));
    kill(runner);
    watcher.lost().await;
    until_gone(&[left]).await;
    ends_clean(&pool, &[runner]).await;
}

async fn what_a_function_started_ends_with_a_runner_that_is_drained() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let left = pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap();
    ends_clean(&pool, &[left]).await;
}

async fn what_a_function_started_ends_with_a_runner_that_idles_out() {
    let pool = process_pool("test").max(1).idle_shutdown_after(Duration::from_millis(100));
    let pool = pool.start().await.unwrap();
    let left = pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap();
    until_gone(&[left]).await;
    ends_clean(&pool, &[]).await;
}

async fn what_a_function_started_ends_with_a_runner_for_a_single_call() {
    let pool = process_pool("test").max(1).single_use(true).start().await.unwrap();
    let left = pool.call(mischief::leaves_a_grandchild()).await.unwrap().unwrap();
    until_gone(&[left]).await;
    ends_clean(&pool, &[]).await;
}

/// The processes that functions of a program have left.
async fn left_by(program: &mut Program) -> Vec<u32> {
    program.until_ready().await.into_iter().map(|(_, pid)| pid).collect()
}

async fn what_functions_started_ends_with_a_parent_that_is_killed() {
    let mut program = Program::start("with_remains", &[]);
    let left = left_by(&mut program).await;
    assert!(left.iter().all(|pid| !is_gone(*pid)));
    program.kill().await;
    until_gone(&left).await;
}

async fn what_functions_started_ends_with_a_parent_that_returns() {
    let mut program = Program::start("leaves_remains", &[]);
    let left = left_by(&mut program).await;
    program.finish().await;
    until_gone(&left).await;
}

async fn what_functions_started_ends_with_a_parent_at_ctrl_c() {
    let terminal = Terminal::new();
    let mut program = Program::start("with_remains", &[(ENV, terminal.name())]);
    let left = left_by(&mut program).await;
    terminal.press(CTRL_C);
    assert_eq!(program.status().await.to_string(), "signal: 2 (SIGINT)");
    until_gone(&left).await;
}

async fn a_pool_that_has_drained_leaves_its_parent_no_child() {
    Program::start("drains_and_has_no_child", &[]).finish().await;
}

async fn a_runner_that_gives_up_its_privileges_dies_with_its_parent() {
    let mut program = Program::start("with_an_unprivileged_runner", &[]);
    let runner = program.until_ready().await[0].1;
    program.kill().await;
    until_gone(&[runner]).await;
}
