//! The first call on an empty pool, beside the bare start of the same executable.

use std::process::Stdio;

use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::process;
use crate::sample::{Effort, Samples, millis, now, samples};

const ROUNDS: usize = 60;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let (mut bare, mut cold) = (Samples::default(), Samples::default());
    let payload = pools::payload(SMALL);
    for round in 0..=effort.rounds(ROUNDS) {
        let one = samples!(1, bare_start());

        let pool = pools::cold(1, 1).await;
        let start = now();
        pools::call(&pool, &payload).await;
        let took = start.elapsed();
        pool.drain().await;
        // The first round reads the executable from disk.
        if round > 0 {
            bare.extend(&one);
            cold.push(took);
        }
    }

    let (bare_ms, cold_ms) = (millis(bare.p50()), millis(cold.p50()));
    let mut figures = Figures::default();
    figures.set("bare_start_ms", bare_ms);
    figures.set("cold_boot_ms", cold_ms);
    figures.set("cold_boot_p99_ms", millis(cold.p99()));
    figures.set("cold_boot_over_bare_start_ms", cold_ms - bare_ms);
    figures
}

/// Starts a process that does nothing, and waits until it has exited.
fn bare_start() {
    let mut command = process::copy(&["bare-start"]);
    let status = command.stdout(Stdio::null()).status().expect("a bare start");
    assert!(status.success(), "a bare start failed with {status}");
}
