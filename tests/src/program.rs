//! The suite as a program of its own: small parents that a test can kill, and whose log it reads.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::connection_variables;

pub mod before_run;
mod children;
pub mod code_store;
mod commands;
mod leftovers;
mod logs;
mod on_docker;
mod on_ecs;
mod on_fly;
mod on_lambda;
mod otel;
mod relayed;
mod terminal;
mod traces;

pub use logs::LogStorm;
pub use traces::{GIVEN_TRACE, TracedCalls};

/// The variable with the name of the program that the suite runs.
pub const ENV: &str = "DEMO_PROGRAM";

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts a program with these variables. It is killed when it is dropped.
    #[must_use]
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(copy(), name, variables)
    }

    /// Starts a program of another build of the suite.
    #[must_use]
    pub fn start_build(executable: &Path, name: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(command(executable), name, variables)
    }

    /// Starts a program that ignores SIGHUP from its start, as under `nohup`.
    #[must_use]
    pub fn start_without_sighup(name: &str, variables: &[(&str, &str)]) -> Self {
        let suite = std::env::current_exe().expect("the suite has a path");
        let mut command = command("sh".as_ref());
        command.args(["-c", "trap '' HUP; exec \"$0\""]).arg(suite);
        Self::spawn(command, name, variables)
    }

    fn spawn(mut command: Command, name: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .env(ENV, name)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the suite can start itself");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, lines }
    }

    /// Reads what the program prints up to `ready`: names and process ids.
    pub async fn until_ready(&mut self) -> Vec<(String, u32)> {
        let mut printed = Vec::new();
        while let Some(line) = self.lines.next_line().await.expect("the output is text") {
            match line.split_once(' ') {
                Some((name, pid)) => printed.push((name.to_owned(), pid.parse().expect("a pid"))),
                None if line == "ready" => return printed,
                None => {}
            }
        }
        let mut error = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        stderr.read_to_string(&mut error).await.expect("the output is text");
        panic!("the program exited before it was ready: {error}")
    }

    /// Reads the next `len` bytes of its standard error. [`finish`](Self::finish) returns the rest.
    pub async fn read_stderr(&mut self, len: usize) -> Vec<u8> {
        let mut read = vec![0; len];
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        stderr.read_exact(&mut read).await.expect("the program writes that much");
        read
    }

    /// Reads its standard error until `is_enough` returns true of the text so far.
    pub async fn read_stderr_until(&mut self, is_enough: impl Fn(&str) -> bool) -> String {
        let mut read = Vec::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        loop {
            let text = String::from_utf8_lossy(&read);
            if is_enough(&text) {
                return text.into_owned();
            }
            let len = stderr.read_buf(&mut read).await.expect("stderr can be read");
            assert!(len > 0, "stderr has ended: {}", String::from_utf8_lossy(&read));
        }
    }

    /// Waits until the program exits, without reading its standard error. Returns what it printed.
    pub async fn finish_with_stderr_unread(mut self) -> String {
        let mut printed = String::new();
        while let Some(line) = self.lines.next_line().await.expect("the output is text") {
            printed.push_str(&line);
            printed.push('\n');
        }
        let stderr = self.child.stderr.take().expect("stderr is piped");
        let status = self.child.wait().await.expect("the program exits");
        drop(stderr);
        assert!(status.success(), "{status}: {printed}");
        printed
    }

    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the program has not been waited for")
    }

    /// Reads the next line that the program prints.
    pub async fn line(&mut self) -> String {
        let line = self.lines.next_line().await.expect("the output is text");
        line.expect("the program prints another line")
    }

    /// Waits until the program exits or is killed.
    pub async fn status(mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("the program exits")
    }

    /// Kills the program with SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the program runs");
    }

    /// Waits until the program fails. Returns what is left of its standard error.
    pub async fn fail(mut self) -> String {
        let mut error = String::new();
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        stderr.read_to_string(&mut error).await.expect("the output is text");
        assert!(!self.child.wait().await.expect("the program exits").success(), "{error}");
        error
    }

    /// Waits until the program exits with 0. Returns its standard output and its standard error.
    pub async fn finish(mut self) -> (String, String) {
        let mut error = String::new();
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        let reading = tokio::spawn(async move {
            stderr.read_to_string(&mut error).await.expect("the output is text");
            error
        });
        let mut printed = String::new();
        while let Some(line) = self.lines.next_line().await.expect("the output is text") {
            printed.push_str(&line);
            printed.push('\n');
        }
        let error = reading.await.expect("reading does not panic");
        assert!(self.child.wait().await.expect("the program exits").success(), "{error}");
        (printed, error)
    }
}

/// Returns a command that starts the suite again.
#[must_use]
pub fn copy() -> Command {
    command("/proc/self/exe".as_ref())
}

/// Returns a command whose pools connect as those of the test that calls this.
fn command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command.envs(connection_variables()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a program, by its name.
pub(crate) async fn run(name: &str) {
    match name {
        "children_in_every_state" => children::children_in_every_state().await,
        "child_with_a_child" => children::child_with_a_child().await,
        "boots_without_end" => children::boots_without_end().await,
        "exits_with_live_children" => children::exits_with_live_children().await,
        "impatient_parent" => children::impatient_parent().await,
        "code_synced_child" => children::code_synced_child().await,
        "code_store_on_ecs" => code_store::code_store_on_ecs().await,
        "code_store_on_lambda" => code_store::code_store_on_lambda().await,
        "prints_and_logs" => logs::prints_and_logs().await,
        "child_blocks_every_worker" => logs::child_blocks_every_worker().await,
        "works_with_stderr_unread" => logs::works_with_stderr_unread().await,
        "child_floods_the_log" => logs::child_floods_the_log().await,
        "prints_beside_metrics" => logs::prints_beside_metrics().await,
        "child_logs_errors" => logs::child_logs_errors().await,
        "calls_in_a_storm_of_logs" => logs::calls_in_a_storm_of_logs().await,
        "reads_the_log_of_a_call" => logs::reads_the_log_of_a_call().await,
        "reads_the_logs_of_calls" => logs::reads_the_logs_of_calls().await,
        "traced_calls" => traces::traced_calls().await,
        "otel_calls" => otel::otel_calls().await,
        "parent_on_lambda" => on_lambda::parent_on_lambda().await,
        "boots_on_lambda" => on_lambda::boots_on_lambda().await,
        "code_synced_on_lambda" => on_lambda::code_synced_on_lambda().await,
        "talks_on_lambda" => on_lambda::talks_on_lambda().await,
        "docker_parent" => on_docker::docker_parent().await,
        "docker_app" => on_docker::docker_app().await,
        "docker_secret" => on_docker::docker_secret().await,
        "fly_parent" => on_fly::fly_parent().await,
        "fly_app" => on_fly::fly_app().await,
        "fly_secret" => on_fly::fly_secret().await,
        "ecs_family" => on_ecs::ecs_family().await,
        "ecs_booting" => on_ecs::ecs_booting().await,
        "ecs_secret" => on_ecs::ecs_secret().await,
        "ecs_app" => on_ecs::ecs_app().await,
        "ecs_traced" => on_ecs::ecs_traced().await,
        "ecs_parent" => on_ecs::ecs_parent().await,
        "relay_secret" => relayed::relay_secret().await,
        "command_without_a_pool" => commands::command_without_a_pool(),
        "command_with_a_pool" => commands::command_with_a_pool().await,
        "handles_signals" => terminal::handles_signals().await,
        "handles_signals_while_booting" => terminal::handles_signals_while_booting().await,
        "is_stopped_and_continued" => terminal::is_stopped_and_continued().await,
        "opens_the_terminal" => terminal::opens_the_terminal().await,
        "leaves_signals_to_the_library" => terminal::leaves_signals_to_the_library().await,
        "never_returns_from_main" => terminal::never_returns_from_main().await,
        "keeps_leftover_processes" => leftovers::keeps_leftover_processes().await,
        "exits_with_leftover_processes" => leftovers::exits_with_leftover_processes().await,
        "drains_every_child" => leftovers::drains_every_child().await,
        "with_an_unprivileged_runner" => leftovers::with_an_unprivileged_runner().await,
        "sleeps" => std::future::pending().await,
        name => panic!("there is no program `{name}`"),
    }
}

/// Prints a process id for [`Program::until_ready`].
fn report_pid(name: &str, pid: u32) {
    println!("{name} {pid}");
}

/// Logs all that the backends and their libraries log.
fn log_everything() {
    log::set_max_level(log::LevelFilter::Trace);
    log::set_logger(&StandardError).expect("no other logger is set");
}

struct StandardError;

impl log::Log for StandardError {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}
