//! Calls through a relay, beside the same calls on a direct connection. The baseline is a WebSocket
//! message through a forwarder, beside the same message without it.

use flame_aws::Pool;

use super::RelayProcess;
use crate::baseline::WsBaseline;
use crate::condition::Condition;
use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Rounds, micros, samples};

/// A size of payloads: the suffix of the keys, the length in bytes, the rounds, and the echoes in
/// each round.
struct Size {
    suffix: &'static str,
    len: usize,
    rounds: usize,
    echoes: usize,
}

/// The suffix of the keys if the system chooses the cores, although processes could be pinned.
const FREE_SUFFIX: &str = "_free";

const SIZES: [Size; 2] = [
    Size { suffix: "", len: SMALL, rounds: 25, echoes: 1_000 },
    Size { suffix: "_1MiB", len: 1 << 20, rounds: 15, echoes: 30 },
];

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let relay = RelayProcess::start().await;
    let direct = pools::warm(1, 1).await;
    let relayed = pools::warm_through(&relay, 1, 1).await;
    let mut figures = Figures::default();
    let suffix = suffix(condition);
    // For small calls, the system would choose other cores in each round.
    for size in SIZES.iter().filter(|size| size.len > SMALL || suffix != FREE_SUFFIX) {
        let key = |name| format!("{name}{}{}", size.suffix, suffix);
        let [ws_direct, ws_hop, direct, relayed] =
            echoes(&direct, &relayed, size, effort).await.map(|rounds| micros(rounds.p50()));
        figures.set(key("ws_direct_us"), ws_direct);
        figures.set(key("ws_hop_us"), ws_hop);
        figures.set(key("direct_call_us"), direct);
        figures.set(key("relayed_call_us"), relayed);
        figures.set(key("ws_hop_over_direct"), ws_hop / ws_direct);
        figures.set(key("relay_hop_over_direct"), relayed / direct);
    }
    direct.drain().await;
    relayed.drain().await;
    figures
}

/// The suffix of the keys of a condition. Unlike other groups, this one has all conditions.
fn suffix(condition: Condition) -> &'static str {
    if condition == Condition::FREE && Condition::pinned() != [Condition::FREE] {
        FREE_SUFFIX
    } else {
        condition.suffix()
    }
}

async fn echoes(direct: &Pool, relayed: &Pool, size: &Size, effort: Effort) -> [Rounds; 4] {
    let mut ws_direct = WsBaseline::start().await;
    let mut ws_hop = WsBaseline::start_with_hop().await;
    let message = pools::bytes(size.len);
    let payload = message.clone().into();

    let mut rounds: [Rounds; 4] = Default::default();
    for round in 0..=effort.rounds(size.rounds) {
        let taken = [
            samples!(size.echoes, ws_direct.echo(&message).await),
            samples!(size.echoes, ws_hop.echo(&message).await),
            samples!(size.echoes, pools::call(direct, &payload).await),
            samples!(size.echoes, pools::call(relayed, &payload).await),
        ];
        // The first round warms up.
        if round > 0 {
            rounds.iter_mut().zip(&taken).for_each(|(rounds, round)| rounds.push(round));
        }
    }
    rounds
}
