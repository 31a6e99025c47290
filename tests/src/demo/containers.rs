//! Remote functions for runners in containers.

use std::time::Duration;

use flame_aws::remote;

/// Leaves an orphan that exits soon, and returns how many zombies there are a while after that.
#[remote]
pub async fn leaves_an_orphan_that_exits() -> anyhow::Result<usize> {
    // The shell exits at once, so its child becomes an orphan, and is given to process 1.
    let mut shell = tokio::process::Command::new("/usr/bin/sh");
    let status = shell.args(["-c", "sleep 0.1 &"]).status().await?;
    anyhow::ensure!(status.success(), "{status}");
    let sleeps = || -> anyhow::Result<Vec<String>> {
        let mut states = Vec::new();
        for process in std::fs::read_dir("/proc")? {
            let stat = std::fs::read_to_string(process?.path().join("stat")).unwrap_or_default();
            states.extend(stat.contains("(sleep)").then_some(stat));
        }
        Ok(states)
    };
    for _ in 0..100 {
        let left = sleeps()?;
        if left.is_empty() {
            return Ok(0);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(sleeps()?.iter().filter(|stat| stat.contains(") Z ")).count())
}

/// Uses this much memory, in bytes.
#[remote]
pub fn uses_memory(bytes: usize) {
    let used: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
    std::hint::black_box(&used);
}
