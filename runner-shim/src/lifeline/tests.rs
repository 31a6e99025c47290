//! This test executable has the constructor, so it plays all parts: tests start it again as a
//! parent or a child, by running the tests named `as_...`, which do nothing otherwise.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::boot_variables::LIFELINE_ENV;

const PART: &str = "FLAME_TEST_LIFELINE_PART";
/// The time after which a test fails. A process that a test leaves behind exits after twice this
/// time.
const TIMEOUT: Duration = Duration::from_secs(20);

/// This executable again, as the test named `as_{part}`.
fn play(part: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("lifeline::tests::as_{part}"))
        .env(PART, part)
        .env_remove(LIFELINE_ENV)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn plays(part: &str) -> bool {
    std::env::var_os(PART).is_some_and(|name| name == part)
}

/// Starts the child with this lifeline and waits for its end.
fn run_child(lifeline: &str) -> Output {
    play("child").env(LIFELINE_ENV, lifeline).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A process that has exited and was not reaped.
fn zombie() -> Child {
    let mut child = play("nobody").stdout(Stdio::piped()).spawn().unwrap();
    // Its output ends when it exits.
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child
}

#[test]
fn as_child() {
    if plays("child") {
        println!("tied={}", is_tied());
    }
}

#[test]
fn as_waiting_child() {
    if plays("waiting_child") {
        println!("child tied={}", is_tied());
        std::thread::park_timeout(TIMEOUT * 2);
    }
}

/// Like a process that has changed its user: the kernel has forgotten the request.
#[test]
fn as_child_that_was_untied() {
    if plays("child_that_was_untied") {
        linux::keep_tied(rustix::process::getppid().unwrap().as_raw_nonzero().get());
        println!("child tied=true");
        std::thread::park_timeout(TIMEOUT * 2);
    }
}

/// The same, and the kernel forgets the request once more.
#[test]
fn as_child_that_waits_for_the_end() {
    if plays("child_that_waits_for_the_end") {
        // The test may kill the parent as soon as this line is printed.
        let parent = rustix::process::getppid().unwrap();
        println!("child tied=true");
        linux::wait_for_the_end_of(parent);
    }
}

/// The same, and its parent ended in the meantime.
#[test]
fn as_child_of_another() {
    if plays("child_of_another") {
        linux::keep_tied(std::process::id().cast_signed());
        std::thread::park_timeout(TIMEOUT * 2);
    }
}

#[test]
fn as_parent() {
    let children = ["waiting_child", "child_that_was_untied", "child_that_waits_for_the_end"];
    if let Some(child) = children.into_iter().find(|child| plays(&format!("parent_of_{child}"))) {
        // The child shares this process's output, which ends when both have exited.
        let mut child = play(child);
        if plays("parent_of_waiting_child") {
            child.env(LIFELINE_ENV, value("test"));
        }
        let mut child = child.spawn().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_child_dies_when_its_parent_is_killed() {
    dies_with_its_parent("waiting_child");
}

#[test]
fn a_child_that_the_kernel_has_untied_dies_with_its_parent_once_it_serves() {
    dies_with_its_parent("child_that_was_untied");
}

#[test]
fn a_child_that_the_kernel_unties_later_sees_the_end_of_its_parent() {
    dies_with_its_parent("child_that_waits_for_the_end");
}

#[test]
fn a_child_that_was_untied_while_its_parent_died_ends_once_it_serves() {
    let output = play("child_of_another").output().unwrap();
    assert_eq!(output.status.signal(), Some(9));
}

fn dies_with_its_parent(child: &str) {
    let part = format!("parent_of_{child}");
    let mut parent = play("parent").env(PART, part).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("child tied=") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child never started");
    }
    assert!(line.contains("tied=true"), "{line}");

    parent.kill().unwrap();
    parent.wait().unwrap();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(output.read_to_string(&mut String::new()).is_ok()));
    assert_eq!(end.recv_timeout(TIMEOUT), Ok(true), "the child has outlived its parent");
}

#[test]
fn a_child_of_a_living_parent_is_tied() {
    let output = run_child(&value("test"));
    assert!(output.status.success());
    assert!(stdout(&output).contains("tied=true"), "{}", stdout(&output));
}

#[test]
fn a_child_whose_parent_died_before_the_check_never_reaches_main() {
    let mut gone = zombie();
    gone.wait().unwrap();
    let output = run_child(&format!("{} test", gone.id()));
    assert_eq!(output.status.signal(), Some(9));
    assert_eq!(stdout(&output), "", "nothing of the program has run");
}

#[test]
fn a_parent_that_is_a_zombie_counts_as_dead() {
    let mut zombie = zombie();
    // Its output may close an instant before it exits: wait for the exit, but do not reap.
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&zombie)), options).unwrap();
    let output = run_child(&format!("{} test", zombie.id()));
    zombie.wait().unwrap();
    assert_eq!(output.status.signal(), Some(9));
}

#[test]
fn a_process_that_has_inherited_the_variable_is_left_alone() {
    // Alive, and not the child's parent: the situation of a command that a runner has started.
    let somebody = std::os::unix::process::parent_id();
    let output = run_child(&format!("{somebody} test"));
    assert!(output.status.success());
    assert!(stdout(&output).contains("tied=false"), "{}", stdout(&output));
}

#[test]
fn a_value_without_a_valid_pid_ties_to_no_parent() {
    for text in ["", "0 test", "-1 test", "parent test", "99999999999999999999 test"] {
        let output = run_child(text);
        assert!(output.status.success(), "{text:?}");
        assert!(stdout(&output).contains("tied=false"), "{text:?}: {}", stdout(&output));
    }
}

#[test]
fn a_process_without_the_variable_is_left_alone() {
    let output = play("child").output().unwrap();
    assert!(output.status.success());
    assert!(stdout(&output).contains("tied=false"));
}
