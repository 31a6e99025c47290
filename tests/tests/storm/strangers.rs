//! The storm of strangers: many clients without a valid ref or key connect to a parent and to a
//! relay. None of them may get in, no call may fail, and the limits have to hold.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::Relay;
use flame_tests::demo;
use flame_tests::proxy::free_address;
use flame_tests::relay::KEY;
use flame_tests::strangers::{Crowd, Target};

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::options::Extent;
use crate::relay_process::StormRelay;
use crate::report::Section;

/// How many strangers connect in a second.
const PER_SECOND: u32 = 250;
/// How long a slow stranger stays.
const PATIENCE: Duration = Duration::from_secs(2);
/// The relay's limit on handshakes. The slow strangers exceed it, also on a busy machine, where fewer
/// of them connect at a time.
const MAX_HANDSHAKES: u32 = 8;
/// The metric with the number of handshakes that had to make room for newer ones.
const EVICTED: &str = "flame_relay_handshakes_failed_total{reason=\"evicted\"}";
/// How many callers there are for each pool.
const CALLERS: usize = 8;

pub(crate) async fn run(context: &Arc<StormContext>, Extent { calls: strangers, .. }: Extent) {
    let handshakes = MAX_HANDSHAKES.to_string();
    let relay = loop {
        let flags = ["--max-handshakes", &handshakes];
        if let Some(relay) = StormRelay::start(context, free_address(), &flags).await {
            break relay;
        }
    };
    let direct = context.pool().start().await.expect("the pool starts");
    let url = format!("ws://{}", relay.address());
    let relayed = context.pool().relay(Relay::new(url).key(KEY)).start().await;
    let relayed = relayed.expect("the pool starts");
    let runner = direct.call(demo::pid()).await.expect("the pool serves");
    let start = |pool| Callers::start_with(context, pool, ExpectedErrors::None, CALLERS, u64::MAX);
    let callers = [start(&direct), start(&relayed)];

    let targets = vec![Target::parent(context.document_of(runner)), Target::Relay(relay.address())];
    let crowd = Crowd { strangers, per_second: PER_SECOND, patience: PATIENCE, targets };
    let crowd = tokio::spawn(crowd.arrive(context.random("crowd")));
    while !crowd.is_finished() {
        check_limits(context, &relay).await;
    }
    let visits = crowd.await.expect("a stranger does not panic");
    for (name, count) in visits.counts {
        context.ledger.count(Section::Disruptions, &name, count);
    }
    context.ledger.count(Section::Violations, "strangers admitted", 0);
    for details in visits.admitted {
        context.ledger.violation("strangers admitted", &details);
    }
    if relay.metric(EVICTED).await == Some(0.0) {
        let details = format!("no handshake was ended by the limit of {MAX_HANDSHAKES}");
        context.ledger.violation("limit on handshakes not reached", &details);
    }
    for callers in callers {
        callers.stop().await;
    }
    crate::end(context, direct).await;
    crate::end(context, relayed).await;
    relay.end().await;
}

/// Checks the relay's limit on handshakes.
async fn check_limits(context: &StormContext, relay: &StormRelay) {
    let handshakes = relay.metric("flame_relay_handshakes").await;
    if handshakes.is_some_and(|handshakes| handshakes > f64::from(MAX_HANDSHAKES)) {
        let details = format!("{handshakes:?} handshakes at a time");
        context.ledger.violation("more handshakes than the limit", &details);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
}
