//! Signals from a terminal, which only the parent receives.

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
        a_parent_that_handles_a_hangup_finishes_its_calls,
        a_parent_whose_process_group_gets_sighup_finishes_its_calls,
        ctrl_c_does_not_kill_a_booting_child,
        a_runner_has_no_terminal,
        a_call_survives_a_long_stop_of_its_parent,
        the_first_ctrl_c_drains_and_lets_calls_finish,
        the_second_ctrl_c_cancels_the_calls_under_way,
        a_process_whose_main_does_not_return_exits_after_the_second_signal,
        the_third_signal_exits_at_once,
        sigterm_and_sighup_drain_as_ctrl_c_does,
        a_signal_ignored_since_startup_does_not_drain,
    ]
}

/// Starts a program at a terminal, and waits until it is ready. Returns the process id of its
/// runner.
async fn at(terminal: &Terminal, program: &str, signals: &str) -> (Program, u32) {
    let variables = [(ENV, terminal.name()), ("DEMO_SIGNALS", signals)];
    let mut program = Program::start(program, &variables);
    let pids = program.until_ready().await;
    (program, pids.first().map_or(0, |(_, runner)| *runner))
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

async fn a_parent_that_handles_a_hangup_finishes_its_calls() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals", "1").await;
    drop(terminal);
    assert_eq!(program.line().await, "a signal");
    finished(program).await;
}

/// A shell sends SIGHUP to the process groups of its jobs in this way.
async fn a_parent_whose_process_group_gets_sighup_finishes_its_calls() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals", "1").await;
    signal_group(program.pid(), Signal::HUP);
    assert_eq!(program.line().await, "a signal");
    finished(program).await;
}

async fn ctrl_c_does_not_kill_a_booting_child() {
    let terminal = Terminal::new();
    let (mut program, _) = at(&terminal, "handles_signals_while_booting", "1").await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, "a signal");
    assert_eq!(program.finish().await.0, "the child has served: true\n");
}

async fn a_runner_has_no_terminal() {
    let terminal = Terminal::new();
    let program = Program::start("opens_the_terminal", &[(ENV, terminal.name())]);
    assert_eq!(program.finish().await.0, "the parent: true\nthe runner: false\n");
}

/// SIGSTOP stands in for Ctrl-Z, which also stops only the parent.
async fn a_call_survives_a_long_stop_of_its_parent() {
    let mut program = Program::start("is_stopped_and_continued", &[]);
    let runner = program.until_ready().await[0].1;
    signal(program.pid(), Signal::STOP);
    // The test is about a stop that outlasts the keepalive and reconnect timeouts together.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!is_gone(runner), "the runner has given up its parent");
    signal(program.pid(), Signal::CONT);
    signal(program.pid(), Signal::USR1);
    assert_eq!(program.finish().await.0, "the call has its result: true\n");
}

/// Starts a program that leaves its signals to the library. With `opens` the program opens the gate
/// of its call while it drains.
async fn drained_at(terminal: &Terminal, program: &str, opens: bool) -> (Program, u32) {
    let mut variables = vec![(ENV, terminal.name()), ("DEMO_DRAIN_ON_SIGNALS", "1")];
    if opens {
        variables.push(("DEMO_OPEN_GATE", "1"));
    }
    let mut program = Program::start(program, &variables);
    let runner = program.until_ready().await[0].1;
    (program, runner)
}

const QUEUED: &str = "the queued call: the pool is draining and takes no more calls";
const LATE: &str = "a pool that starts now: the pool is draining and takes no more calls\n";

async fn the_first_ctrl_c_drains_and_lets_calls_finish() {
    let terminal = Terminal::new();
    let (program, runner) = drained_at(&terminal, "leaves_signals_to_the_library", true).await;
    terminal.press(CTRL_C);
    assert_eq!(program.finish().await.0, format!("{QUEUED}\nthe call: true\n{LATE}"));
    until_gone(&[runner]).await;
}

async fn the_second_ctrl_c_cancels_the_calls_under_way() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "leaves_signals_to_the_library", false).await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, QUEUED);
    terminal.press(CTRL_C);
    let call = program.line().await;
    assert!(call.starts_with("the call: the call was cancelled"), "{call}");
    // `main` returns by itself, with its own exit code.
    assert_eq!(program.finish().await.0, LATE);
    until_gone(&[runner]).await;
}

async fn a_process_whose_main_does_not_return_exits_after_the_second_signal() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "never_returns_from_main", false).await;
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, "drained");
    until_gone(&[runner]).await;
    terminal.press(CTRL_C);
    assert_eq!(program.status().await.code(), Some(130));
}

async fn the_third_signal_exits_at_once() {
    let terminal = Terminal::new();
    let (mut program, runner) = drained_at(&terminal, "leaves_signals_to_the_library", false).await;
    // A stopped runner takes a while to shut down.
    signal(runner, Signal::STOP);
    terminal.press(CTRL_C);
    assert_eq!(program.line().await, QUEUED);
    terminal.press(CTRL_C);
    // Another kind of signal: two of one kind sent together may count as one.
    signal(program.pid(), Signal::TERM);
    let code = program.status().await.code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
    until_gone(&[runner]).await;
}

async fn sigterm_and_sighup_drain_as_ctrl_c_does() {
    for kind in [Signal::TERM, Signal::HUP] {
        let terminal = Terminal::new();
        let (program, runner) = drained_at(&terminal, "leaves_signals_to_the_library", true).await;
        signal(program.pid(), kind);
        assert_eq!(program.finish().await.0, format!("{QUEUED}\nthe call: true\n{LATE}"));
        until_gone(&[runner]).await;
    }
}

async fn a_signal_ignored_since_startup_does_not_drain() {
    let variables = [("DEMO_DRAIN_ON_SIGNALS", "1")];
    let mut program = Program::start_without_sighup("never_returns_from_main", &variables);
    program.until_ready().await;
    assert!(ignores(program.pid(), Signal::HUP), "the program ignores SIGHUP from its start");
    signal(program.pid(), Signal::TERM);
    assert_eq!(program.line().await, "drained");
    program.kill().await;
}
