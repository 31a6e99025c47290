//! A call within this process: the local backend, with the real serialization.

use flame_aws::backend::Local;
use flame_aws::{Blob, Pool};

use crate::figures::Figures;
use crate::functions::echo;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Rounds, micros, samples};

const ROUNDS: usize = 25;
const CALLS_A_ROUND: usize = 2_000;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let pool =
        Pool::builder("local").min(1).max(1).backend(Local::new()).start().await.expect("a pool");
    pool.ready().await;
    let payload = pools::payload(SMALL);

    let (mut here, mut calls) = (Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds(ROUNDS) {
        let one = samples!(CALLS_A_ROUND, awaited(&payload).await);
        let other = samples!(CALLS_A_ROUND, pools::call(&pool, &payload).await);
        if round > 0 {
            here.push(&one);
            calls.push(&other);
        }
    }
    pool.drain().await;

    let mut figures = Figures::default();
    figures.set("awaited_here_p50_us", micros(here.p50()));
    figures.set("local_call_p50_us", micros(calls.p50()));
    figures.set("local_call_p99_us", micros(calls.p99()));
    figures
}

/// Awaits a `Work`, which runs in this process without serialization: the baseline of every
/// backend.
async fn awaited(payload: &Blob) {
    let back = echo(payload.clone()).await;
    assert_eq!(back.len(), payload.len(), "the echo has another length");
}
