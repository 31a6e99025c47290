//! Commands that a function on a runner starts. They don't inherit the variables that make a
//! process a runner.

use flame_aws::backend::Process;
use flame_tests::demo::commands;
use flame_tests::process::drains_cleanly;
use flame_tests::{TempDir, Test, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_command_that_a_function_starts_is_not_a_runner,
        a_command_that_a_function_starts_may_have_a_pool_of_its_own,
        commands_do_not_inherit_the_variables_that_make_a_runner,
        commands_of_a_code_synced_runner_do_not_inherit_the_variables,
        flame_parent_is_in_no_argument_and_in_no_environment_of_a_command,
    ]
}

async fn a_command_that_a_function_starts_is_not_a_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let printed =
        pool.call(commands::starts_a_command("command_without_a_pool")).await.unwrap().unwrap();
    assert_eq!(printed, "a runner: false\n");
    drains_cleanly(&pool, &[]).await;
}

async fn a_command_that_a_function_starts_may_have_a_pool_of_its_own() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let printed = pool.call(commands::starts_a_command("command_with_a_pool")).await.unwrap();
    assert_eq!(printed.unwrap(), "42\n");
    drains_cleanly(&pool, &[]).await;
}

async fn commands_do_not_inherit_the_variables_that_make_a_runner() {
    // A variable that an app sets for its runners is inherited.
    let backend = Process::new().env("FLAME_LOG", "debug");
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let names = pool.call(commands::inherited_variables()).await.unwrap().unwrap();
    assert_eq!(names, ["FLAME_LOG"]);
    drains_cleanly(&pool, &[]).await;
}

async fn commands_of_a_code_synced_runner_do_not_inherit_the_variables() {
    let folder = TempDir::new();
    let backend = Process::new().program(flame_tests::other_build(folder.path()));
    let backend = backend.env("FLAME_CODE_DIR", folder.path().join("cache"));
    let pool = process_pool("test").max(1).backend(backend).code_sync(true);
    let pool = pool.boot_timeout(std::time::Duration::from_secs(60)).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let names = pool.call(commands::inherited_variables()).await.unwrap().unwrap();
    assert_eq!(names, ["FLAME_CODE_DIR"]);
    drains_cleanly(&pool, &[pid]).await;
}

async fn flame_parent_is_in_no_argument_and_in_no_environment_of_a_command() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let found = pool.call(commands::flame_parent_in_proc()).await.unwrap().unwrap();
    // The kernel keeps the environment that the runner itself was started with: SECURITY.md says
    // who can read it. If this ever fails, that page is wrong.
    assert!(found.initial_environment, "{found:?}");
    let elsewhere = [found.arguments, found.arguments_of_a_command, found.environment_of_a_command];
    assert_eq!(elsewhere, [false; 3], "{found:?}");
    drains_cleanly(&pool, &[]).await;
}
