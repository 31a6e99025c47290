//! Programs whose copies would start copies of their own, if anything let them.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use flame_tests::{Folder, Test, early, impostor, program, tests};
use flame_wire::parent::FlameParent;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_pool_that_is_made_before_run_boots_no_copies_of_copies,
        a_program_without_run_boots_no_copy_and_is_told_so_at_once,
        a_program_without_run_that_waits_for_its_runners_is_told_so_too,
        a_pool_that_only_the_parent_makes_before_run_boots_once_run_is_reached,
        arguments_that_lead_a_copy_to_run_are_enough,
        a_runner_that_can_not_be_one_starts_no_pool,
    ]
}

/// More copies than any of these programs starts.
const RUNAWAY: usize = 4;

/// Runs a program to its end, and gives what it printed and how many copies of it there were, by
/// their depth. Ends it as soon as there are far too many.
async fn run(name: &str) -> (Output, BTreeMap<u8, usize>) {
    let told = Folder::new();
    let copies = || {
        let mut depths = BTreeMap::new();
        for file in told.files() {
            *depths.entry(impostor::flame_parent(&file).depth).or_insert(0) += 1;
        }
        depths
    };
    let mut command = program::copy();
    command.env(early::ENV, name).env("DEMO_TELL", told.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output();
    let runaway = flame_tests::until("it ends", || told.files().len() >= RUNAWAY);
    tokio::select! {
        biased;
        output = output => (output.unwrap(), copies()),
        // With the program end all copies, each when the one that started it has.
        () = runaway => panic!("copies by depth: {:?}", copies()),
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn a_pool_that_is_made_before_run_boots_no_copies_of_copies() {
    let (output, copies) = run("pool_as_state").await;
    let printed = printed(&output);
    // The copy that was booted says what its author has to write, and its parent hears it.
    for part in ["no runner could be booted", "`App::run`", "flame_aws::is_runner()"] {
        assert!(printed.contains(part), "{output:?}");
    }
    assert_eq!(copies.keys().copied().collect::<Vec<_>>(), [1], "none of a copy's own");
}

async fn a_program_without_run_boots_no_copy_and_is_told_so_at_once() {
    let (output, copies) = run("without_run").await;
    let printed = printed(&output);
    for part in ["App::run", "Local", "harness = false", "#[flame_aws::test]"] {
        assert!(printed.contains(part), "{output:?}");
    }
    assert!(copies.is_empty(), "{copies:?}");
}

async fn a_program_without_run_that_waits_for_its_runners_is_told_so_too() {
    let (output, copies) = run("without_run_but_ready").await;
    assert!(printed(&output).contains("App::run"), "{output:?}");
    assert!(copies.is_empty(), "{copies:?}");
}

async fn a_pool_that_only_the_parent_makes_before_run_boots_once_run_is_reached() {
    let (output, copies) = run("guarded").await;
    let printed = printed(&output);
    assert!(printed.starts_with("0 up\npid "), "{output:?}");
    assert_eq!(copies, BTreeMap::from([(1, 1)]));
}

async fn arguments_that_lead_a_copy_to_run_are_enough() {
    let (output, copies) = run("run_behind_an_argument").await;
    assert!(printed(&output).starts_with("pid "), "{output:?}");
    assert_eq!(copies, BTreeMap::from([(1, 1)]));
}

async fn a_runner_that_can_not_be_one_starts_no_pool() {
    let runner = "FLAME_RUNNER";
    for (name, value) in [
        (FlameParent::ENV, "garbage"),
        (FlameParent::ENV, ""),
        (runner, "garbage"),
        (runner, "lambda"),
    ] {
        let mut command = program::copy();
        command.env(early::ENV, "run_that_fails").env(name, value);
        let output = command.output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed(&output).is_empty(), "{output:?}");
        assert!(error.contains("is a runner") && error.contains("App::run"), "{error}");
    }
}
