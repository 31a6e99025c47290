//! How the executable starts, or says why it does not.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn generic_runner() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flame-runner"));
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn without_a_parent_it_says_in_one_line_how_it_is_started() {
    for (variables, code, part) in [
        (vec![], 2, "FLAME_PARENT is not set: a pool with `code_sync(true)` starts it"),
        (vec![("FLAME_RUNNER", "ecs")], 2, "set it to `lambda`"),
        (vec![("FLAME_PARENT", "nonsense")], 1, "its FLAME_PARENT is invalid"),
        (vec![("FLAME_RUNNER", "lambda")], 1, "AWS_LAMBDA_RUNTIME_API"),
    ] {
        let ended = generic_runner().envs(variables).output().unwrap();
        let error = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{error}");
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_supervisor_whose_children_end_one_after_another_ends_and_says_why() {
    // Lambda has no event, and so never answers.
    let lambda = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut supervisor = generic_runner()
        .env("FLAME_RUNNER", "lambda")
        .env("AWS_LAMBDA_RUNTIME_API", lambda.local_addr().unwrap().to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "runners")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", supervisor.id());
    let mut killed = Vec::new();
    let status = loop {
        if let Some(status) = supervisor.try_wait().unwrap() {
            break status;
        }
        let running = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(child) = running.split_whitespace().next().and_then(|pid| pid.parse().ok())
            && !killed.contains(&child)
        {
            killed.push(child);
            kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!((status.code(), killed.len()), (Some(1), 3));
    let mut error = String::new();
    supervisor.stderr.unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("3 processes in a row ended before they served"), "{error}");
    assert!(error.contains("signal: killed"), "{error}");
}
