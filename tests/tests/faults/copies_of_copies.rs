//! Programs whose copies would start copies of their own without end, if the library let them.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use flame_tests::program::{self, before_run};
use flame_tests::{TempDir, Test, impostor, tests};
use flame_wire::parent::FlameParent;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_pool_started_before_run_boots_no_copies_of_copies,
        a_program_that_never_calls_run_gets_an_error_and_no_copy,
        a_program_that_never_calls_run_gets_the_error_after_ready,
        a_pool_started_by_the_parent_alone_boots_once_run_is_reached,
        a_parent_may_skip_run_if_its_copies_call_it,
        a_misconfigured_runner_starts_no_pool,
    ]
}

/// More copies than any of these programs may start.
const TOO_MANY: usize = 4;

/// Runs a program to its end. Returns its output, and how many copies of it were started at each
/// depth. Fails as soon as there are too many copies.
async fn run(name: &str) -> (Output, BTreeMap<u8, usize>) {
    let started = TempDir::new();
    let copies = || {
        let mut depths = BTreeMap::new();
        for file in started.files() {
            *depths.entry(impostor::flame_parent(&file).depth).or_insert(0) += 1;
        }
        depths
    };
    let mut command = program::copy();
    command.env(before_run::ENV, name).env("DEMO_WRITE_PARENT_TO", started.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output();
    let too_many = flame_tests::until("the program exits", || started.files().len() >= TOO_MANY);
    tokio::select! {
        biased;
        output = output => (output.unwrap(), copies()),
        // Every copy dies with the process that started it, and the first dies with this test.
        () = too_many => panic!("copies by depth: {:?}", copies()),
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn a_pool_started_before_run_boots_no_copies_of_copies() {
    let (output, copies) = run("pool_as_state").await;
    let printed = printed(&output);
    // The copy's error says what to write, and its parent gets that error.
    for part in ["no runner could be booted", "`App::run`", "flame_aws::is_runner()"] {
        assert!(printed.contains(part), "{output:?}");
    }
    assert_eq!(copies.keys().copied().collect::<Vec<_>>(), [1], "a copy has started copies");
}

async fn a_program_that_never_calls_run_gets_an_error_and_no_copy() {
    let (output, copies) = run("without_run").await;
    let printed = printed(&output);
    for part in ["App::run", "Local", "harness = false", "#[flame_aws::test]"] {
        assert!(printed.contains(part), "{output:?}");
    }
    assert!(copies.is_empty(), "{copies:?}");
}

async fn a_program_that_never_calls_run_gets_the_error_after_ready() {
    let (output, copies) = run("without_run_but_ready").await;
    assert!(printed(&output).contains("App::run"), "{output:?}");
    assert!(copies.is_empty(), "{copies:?}");
}

async fn a_pool_started_by_the_parent_alone_boots_once_run_is_reached() {
    let (output, copies) = run("pool_in_the_parent_alone").await;
    let printed = printed(&output);
    assert!(printed.starts_with("0 up\npid "), "{output:?}");
    assert_eq!(copies, BTreeMap::from([(1, 1)]));
}

async fn a_parent_may_skip_run_if_its_copies_call_it() {
    let (output, copies) = run("run_behind_an_argument").await;
    assert!(printed(&output).starts_with("pid "), "{output:?}");
    assert_eq!(copies, BTreeMap::from([(1, 1)]));
}

async fn a_misconfigured_runner_starts_no_pool() {
    for (name, value) in [
        (FlameParent::ENV, "garbage"),
        (FlameParent::ENV, ""),
        ("FLAME_RUNNER", "garbage"),
        ("FLAME_RUNNER", "lambda"),
    ] {
        let mut command = program::copy();
        command.env(before_run::ENV, "run_that_fails").env(name, value);
        let output = command.output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed(&output).is_empty(), "{output:?}");
        assert!(error.contains("is a runner") && error.contains("App::run"), "{error}");
    }
}
