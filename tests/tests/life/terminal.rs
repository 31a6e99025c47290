//! Signals of a terminal, which are the parent's to handle.

use flame_tests::process::{ignores, is_gone, signal, signal_group, until_gone};
use flame_tests::program::Program;
use flame_tests::terminal::{CTRL_BACKSLASH, CTRL_C, ENV, Terminal};
use flame_tests::{Test, tests};
use rustix::process::Signal;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_parent_that_handles_ctrl_c_finishes_its_calls,
        a_parent_that_handles_ctrl_c_twice_finishes_its_calls,
        a_parent_that_handles_sigquit_finishes_its_calls,
        a_parent_that_handles_the_end_of_its_terminal_finishes_its_calls,
        a_parent_whose_process_group_gets_sighup_finishes_its_calls,
        ctrl_c_does_not_end_a_child_that_boots,
        a_runner_has_no_terminal,
        a_parent_that_was_stopped_for_long_finds_its_call_under_way,
        the_first_ctrl_c_drains_and_the_calls_under_way_end,
        the_second_ctrl_c_cancels_the_calls_under_way,
        a_main_that_does_not_return_is_ended_after_the_second_signal,
        a_third_signal_ends_the_process_at_once,
        sigterm_and_sighup_drain_as_ctrl_c_does,
        a_signal_that_was_ignored_from_the_start_drains_nothing,
    ]
}

/// A program at a terminal that is ready.
async fn at(terminal: &Terminal, program: &str, signals: &str) -> (Program, u32) {
    let variables = [(ENV, terminal.name()), ("DEMO_SIGNALS", signals)];
    let mut program = Program::start(program, &variables);
    let told = program.until_ready().await;
    (program, told.first().map_or(0, |(_, runner)| *runner))
}

async fn finishes_after(keys: &[u8]) {
    let terminal = Terminal::new();
    let signals = keys.len().to_string();
    let (mut program, _) = at(&terminal, "handles_signals", &signals).await;
    for key in keys {
        terminal.press(*key);
        assert_eq!(program.line().await, "a signal");
    }
    finished(program).await;
}

async fn finished(program: Program) {
    let (printed, _) = program.finish().await;
    let expected = "another call on the same runner: true\nthe call has its result: true\n";
    assert_eq!(printed, expected);
}

async fn a_parent_that_handles_ctrl_c_finishes_its_calls() {
    finishes_after(&[CTRL_C]).await;
}

async fn a_parent_that_handles_ctrl_c_twice_finishes_its_calls() {
    finishes_after(&[CTRL_C, CTRL_C]).await;
}

async fn a_parent_that_handles_sigquit_finishes_its_calls() {
    finishes_after(&[CTRL_BACKSLASH]).await;
}

async fn a_parent_that_handles_the_end_of_its_terminal_finishes_its_calls() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals", "1").await;
    drop(terminal);
    assert_eq!(program.line().await, "a signal");
    finished(program).await;
}

/// As a shell sends it to its jobs.
async fn a_parent_whose_process_group_gets_sighup_finishes_its_calls() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals", "1").await;
    signal_group(program.pid(), Signal::HUP);
    assert_eq!(program.line().await, "a signal");
    finished(program).await;
}

async fn ctrl_c_does_not_end_a_child_that_boots() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals_in_a_boot", "1").await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, "a signal");
    assert_eq!(program.finish().await.0, "the child has served: true\n");
}

async fn a_runner_has_no_terminal() {
    let terminal = Terminal::new();
    let program = Program::start("asks_for_the_terminal", &[(ENV, terminal.name())]);
    assert_eq!(program.finish().await.0, "the parent: true\nthe runner: false\n");
}

/// As with Ctrl-Z, which stops the parent alone.
async fn a_parent_that_was_stopped_for_long_finds_its_call_under_way() {
    let mut program = Program::start("is_stopped", &[]);
    let runner = program.until_ready().await[0].1;
    signal(program.pid(), Signal::STOP);
    // Longer than the pool's silence and grace together: that is what this is about.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!is_gone(runner), "the runner has given its parent up");
    signal(program.pid(), Signal::CONT);
    signal(program.pid(), Signal::USR1);
    assert_eq!(program.finish().await.0, "the call has its result: true\n");
}

/// A program whose app leaves its signals to the library.
async fn drained_at(terminal: &Terminal, program: &str, opens: bool) -> (Program, u32) {
    let mut variables = vec![(ENV, terminal.name()), ("DEMO_DRAIN_ON_SIGNALS", "1")];
    if opens {
        variables.push(("DEMO_OPENS", "1"));
    }
    let mut program = Program::start(program, &variables);
    let runner = program.until_ready().await[0].1;
    (program, runner)
}

const WAITS: &str = "the call that waits: the pool is draining and takes no more calls";
const LATE: &str = "a pool that starts now: the pool is draining and takes no more calls\n";

async fn the_first_ctrl_c_drains_and_the_calls_under_way_end() {
    let terminal = Terminal::new();
    let (program, runner) = drained_at(&terminal, "leaves_its_signals", true).await;
    terminal.press(CTRL_C);
    assert_eq!(program.finish().await.0, format!("{WAITS}\nthe call: true\n{LATE}"));
    until_gone(&[runner]).await;
}

async fn the_second_ctrl_c_cancels_the_calls_under_way() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "leaves_its_signals", false).await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, WAITS);
    terminal.press(CTRL_C);
    let call = program.line().await;
    assert!(call.starts_with("the call: the call was cancelled"), "{call}");
    // It returns by itself, and has the exit code that it gives.
    assert_eq!(program.finish().await.0, LATE);
    until_gone(&[runner]).await;
}

async fn a_main_that_does_not_return_is_ended_after_the_second_signal() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "ignores_that_it_should_end", false).await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, "drained");
    until_gone(&[runner]).await;
    terminal.press(CTRL_C);
    assert_eq!(program.status().await.code(), Some(130));
}

async fn a_third_signal_ends_the_process_at_once() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "leaves_its_signals", false).await;
    // Now it takes a while to be seen gone.
    signal(runner, Signal::STOP);
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, WAITS);
    terminal.press(CTRL_C);
    // Signals of one kind that come together may count as one.
    signal(program.pid(), Signal::TERM);
    let code = program.status().await.code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
    until_gone(&[runner]).await;
}

async fn sigterm_and_sighup_drain_as_ctrl_c_does() {
    for kind in [Signal::TERM, Signal::HUP] {
        let terminal = Terminal::new();
        let (program, runner) = drained_at(&terminal, "leaves_its_signals", true).await;
        signal(program.pid(), kind);
        assert_eq!(program.finish().await.0, format!("{WAITS}\nthe call: true\n{LATE}"));
        until_gone(&[runner]).await;
    }
}

async fn a_signal_that_was_ignored_from_the_start_drains_nothing() {
    let variables = [("DEMO_DRAIN_ON_SIGNALS", "1")];
    let mut program = Program::start_without_sighup("ignores_that_it_should_end", &variables);
    program.until_ready().await;
    assert!(ignores(program.pid(), Signal::HUP), "as nohup has it");
    signal(program.pid(), Signal::TERM);
    assert_eq!(program.line().await, "drained");
    program.kill().await;
}
