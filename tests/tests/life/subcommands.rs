//! Commands that a function on a runner starts: what makes the runner one is not theirs.

use flame_aws::backend::Process;
use flame_tests::process::ends_clean;
use flame_tests::{Folder, Test, demo, mischief, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_command_that_a_function_starts_is_no_runner,
        a_command_that_a_function_starts_may_have_a_pool_of_its_own,
        nothing_that_makes_a_runner_is_inherited,
        a_runner_that_became_another_executable_passes_nothing_on_either,
    ]
}

async fn a_command_that_a_function_starts_is_no_runner() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let printed = pool.call(mischief::starts_a_command("tool")).await.unwrap().unwrap();
    assert_eq!(printed, "a runner: false\n");
    ends_clean(&pool, &[]).await;
}

async fn a_command_that_a_function_starts_may_have_a_pool_of_its_own() {
    let pool = process_pool("test").max(1).start().await.unwrap();
    let printed = pool.call(mischief::starts_a_command("tool_with_a_pool")).await.unwrap();
    assert_eq!(printed.unwrap(), "42\n");
    ends_clean(&pool, &[]).await;
}

async fn nothing_that_makes_a_runner_is_inherited() {
    // What an app may set for its copies and their copies is.
    let backend = Process::new().env("FLAME_LOG", "debug");
    let pool = process_pool("test").max(1).backend(backend).start().await.unwrap();
    let names = pool.call(mischief::inherited()).await.unwrap().unwrap();
    assert_eq!(names, ["FLAME_LOG"]);
    ends_clean(&pool, &[]).await;
}

async fn a_runner_that_became_another_executable_passes_nothing_on_either() {
    let folder = Folder::new();
    let backend = Process::new().program(flame_tests::other_build(folder.path()));
    let backend = backend.env("FLAME_CODE_DIR", folder.path().join("cache"));
    let pool = process_pool("test").max(1).backend(backend).code_sync(true);
    let pool = pool.boot_timeout(std::time::Duration::from_secs(60)).start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let names = pool.call(mischief::inherited()).await.unwrap().unwrap();
    assert_eq!(names, ["FLAME_CODE_DIR"]);
    ends_clean(&pool, &[pid]).await;
}
