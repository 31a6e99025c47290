//! Large payloads there and back, and small calls during a large one.

use std::sync::atomic::{AtomicBool, Ordering};

use flame_aws::Pool;

use crate::baseline::{TlsBaseline, WsBaseline, framed};
use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Rounds, Samples, micros, samples};

const ROUNDS: usize = 11;

/// A size of payloads: its name in the keys, its length in bytes, and its echoes per round.
struct Size {
    name: &'static str,
    len: usize,
    echoes: usize,
}

const SIZES: [Size; 3] = [
    Size { name: "64KiB", len: 64 << 10, echoes: 200 },
    Size { name: "1MiB", len: 1 << 20, echoes: 30 },
    Size { name: "16MiB", len: 16 << 20, echoes: 5 },
];

/// The payload of the large call, during which small calls are measured.
const BULK: usize = 64 << 20;
const BULK_ROUNDS: usize = 20;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let pool = pools::warm(1, 10).await;
    let mut figures = Figures::default();
    for size in &SIZES {
        echoes(&pool, size, effort, &mut figures).await;
    }
    beside(&pool, effort, &mut figures).await;
    pool.drain().await;
    figures
}

async fn echoes(pool: &Pool, size: &Size, effort: Effort, figures: &mut Figures) {
    let (mut plain, mut tls) = (WsBaseline::start().await, TlsBaseline::start().await);
    let message = pools::bytes(size.len);
    let (framed, payload) = (framed(&message), message.clone().into());

    let mut rounds: [Rounds; 3] = Default::default();
    for round in 0..=effort.rounds(ROUNDS) {
        let taken = [
            samples!(size.echoes, plain.echo(&message).await),
            samples!(size.echoes, tls.echo(&framed).await),
            samples!(size.echoes, pools::call(pool, &payload).await),
        ];
        if round > 0 {
            rounds.iter_mut().zip(&taken).for_each(|(rounds, round)| rounds.push(round));
        }
    }

    let [plain, tls, ours] = rounds.map(|rounds| micros(rounds.p50()));
    let name = size.name;
    figures.set(format!("ws_baseline_{name}_us"), plain);
    figures.set(format!("tls_baseline_{name}_us"), tls);
    figures.set(format!("echo_{name}_us"), ours);
    figures.set(format!("echo_{name}_over_tls_baseline"), ours / tls);
}

/// Measures small calls, one after another, while a large call is under way on the same runner.
async fn beside(pool: &Pool, effort: Effort, figures: &mut Figures) {
    let (bulk, small) = (pools::payload(BULK), pools::payload(SMALL));
    let (mut alone, mut beside, mut bulks) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 0..=effort.rounds(BULK_ROUNDS) {
        let quiet = samples!(500, pools::call(pool, &small).await);
        let over = AtomicBool::new(false);
        let large = async {
            let took = samples!(1, pools::call(pool, &bulk).await);
            over.store(true, Ordering::Relaxed);
            took
        };
        let calls = async {
            let mut taken = Samples::default();
            loop {
                let one = samples!(1, pools::call(pool, &small).await);
                // A small call that outlasts the large one does not count.
                if over.load(Ordering::Relaxed) {
                    return taken;
                }
                taken.extend(&one);
            }
        };
        let (large, busy) = futures_util::future::join(large, calls).await;
        if round > 0 {
            alone.extend(&quiet);
            beside.extend(&busy);
            bulks.extend(&large);
        }
    }
    eprintln!("  {} small calls during calls of 64 MiB", beside.len());
    figures.set("small_call_p99_us_alone", micros(alone.p99()));
    figures.set("small_call_p50_us_beside_64MiB", micros(beside.p50()));
    figures.set("small_call_p99_us_beside_64MiB", micros(beside.p99()));
    figures.set("echo_64MiB_us", micros(bulks.p50()));
}
