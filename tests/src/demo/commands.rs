//! Remote functions that start other processes, or report how their own process was started.

use flame_aws::remote;
use flame_runner_shim::boot_variables::boot_variables;
use flame_wire::parent::FlameParent;
use serde::{Deserialize, Serialize};

/// Starts a process that keeps this process's standard output open, and returns its process id.
#[remote]
pub async fn leaves_a_process() -> anyhow::Result<u32> {
    Ok(std::process::Command::new("sleep").arg("600").spawn()?.id())
}

/// Starts the suite again, as a plain command that runs [this program](crate::program). Returns
/// what the command printed.
#[remote]
pub fn starts_a_command(program: &str) -> anyhow::Result<String> {
    let mut command = std::process::Command::new("/proc/self/exe");
    let output = command.env(crate::program::ENV, program).output()?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the names of the `FLAME_` variables that a command inherits from this process.
#[remote]
pub fn inherited_variables() -> anyhow::Result<Vec<String>> {
    let output = std::process::Command::new("env").output()?;
    let lines = String::from_utf8(output.stdout)?;
    let names = lines.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned()));
    Ok(names.filter(|name| name.starts_with("FLAME_")).collect())
}

/// Returns where FLAME_PARENT, or the name of the variable, can be read in `/proc`.
#[remote]
pub fn flame_parent_in_proc() -> anyhow::Result<FlameParentInProc> {
    let parent = boot_variables().parent().map(|text| text.as_encoded_bytes().to_vec());
    let parent = parent.ok_or_else(|| anyhow::anyhow!("not a runner"))?;
    let contains = |bytes: &[u8]| {
        [parent.as_slice(), FlameParent::ENV.as_bytes()]
            .into_iter()
            .any(|secret| bytes.windows(secret.len()).any(|window| window == secret))
    };
    let of_command = |file: &str| -> anyhow::Result<bool> {
        Ok(contains(&std::process::Command::new("cat").arg(file).output()?.stdout))
    };
    Ok(FlameParentInProc {
        arguments: contains(&std::fs::read("/proc/self/cmdline")?),
        initial_environment: contains(&std::fs::read("/proc/self/environ")?),
        arguments_of_a_command: of_command("/proc/self/cmdline")?,
        environment_of_a_command: of_command("/proc/self/environ")?,
    })
}

/// Whether the files in `/proc` of a runner, and of a command that it starts, show FLAME_PARENT.
#[derive(Debug, Serialize, Deserialize)]
pub struct FlameParentInProc {
    /// The runner's arguments.
    pub arguments: bool,
    /// The environment that the runner's process was started with.
    pub initial_environment: bool,
    /// The arguments of a command.
    pub arguments_of_a_command: bool,
    /// The environment of a command.
    pub environment_of_a_command: bool,
}

/// Returns the ids of this process and of its process group.
#[remote]
pub async fn process_group() -> (u32, u32) {
    let group = rustix::process::getpgrp().as_raw_nonzero().get();
    (std::process::id(), group.unsigned_abs())
}

/// Returns whether this process has a controlling terminal.
#[remote]
pub async fn opens_the_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}
