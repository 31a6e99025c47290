//! A relay on this machine, and generic runners that become this program.
//!
//! The parent listens nowhere: it connects to the relay, and so does each runner. A runner begins
//! as `flame-runner`, which has no app in it, and downloads this program from its parent. In this
//! way a laptop uses runners in a cloud, without an image that contains the app.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context, ensure};
use flame_aws::PoolBuilder;
use flame_aws::Relay;
use flame_aws::backend::Process;

use crate::output::print_line;

/// A running relay. It is killed when this value is dropped.
pub(crate) struct RelayProcess {
    child: Child,
    url: String,
    key: String,
    runner: PathBuf,
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl RelayProcess {
    /// Builds the relay and the generic runner with this program's profile, and starts the relay.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = build()?;
        let key = generate_key()?;
        let mut child = Command::new(folder.join("flame-relay"))
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .env("FLAME_RELAY_KEYS", &key)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start the relay")?;
        let stderr = child.stderr.take().context("the relay has no standard error")?;
        // Owned from here on, so that the relay is killed if anything below fails.
        let mut relay =
            Self { child, url: String::new(), key, runner: folder.join("flame-runner") };
        relay.url = format!("ws://{}", listening_at(stderr)?);
        print_line(format_args!("relay at {}; this process listens nowhere", relay.url))?;
        Ok(relay)
    }

    /// Runners of this pool are copies of `flame-runner` until they have become this program.
    pub(crate) fn pool(&self, pool: PoolBuilder) -> PoolBuilder {
        pool.relay(Relay::new(&self.url).key(&self.key))
            .backend(Process::new().program(&self.runner))
            .code_sync(true)
    }
}

/// Builds both programs next to this one, and returns their folder.
fn build() -> anyhow::Result<PathBuf> {
    eprintln!("building the relay and the generic runner; the first time takes some minutes");
    let this = std::env::current_exe().context("can't find this program's own file")?;
    // target/release/examples/thumbnails
    let folder = this.ancestors().nth(2).context("this program is not in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        // The packages that built this program, and two more, so that common crates are not built
        // again with other features.
        .args(["build", "--quiet", "--locked", "--package", "flame-aws"])
        .args(["--package", "flame-example-thumbnails", "--package", "flame-example-web"])
        .args(["--package", "flame-relay", "--bin", "flame-relay"])
        .args(["--package", "flame-runner", "--bin", "flame-runner"])
        .arg("--target-dir")
        .arg(folder.parent().unwrap_or(Path::new("target")));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("can't start cargo to build the relay")?;
    ensure!(status.success(), "building the relay and the generic runner failed");
    Ok(folder.to_owned())
}

/// Reads the relay's log up to the line with its address. A thread reads the rest, and prints
/// warnings and errors.
fn listening_at(stderr: ChildStderr) -> anyhow::Result<String> {
    let mut lines = BufReader::new(stderr).lines();
    for line in lines.by_ref() {
        let record: serde_json::Value = serde_json::from_str(&line?).unwrap_or_default();
        if let Some(address) = record["listen"].as_str().map(str::to_owned) {
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(print_warning));
            return Ok(address);
        }
    }
    anyhow::bail!("the relay exited before it listened")
}

/// Prints a line of the relay's log, unless it is an ordinary event.
fn print_warning(line: String) {
    if !line.contains(r#""level":"INFO""#) {
        eprintln!("relay: {line}");
    }
}

/// A key that nobody can guess: 32 random bytes in hexadecimal.
fn generate_key() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system has no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
