//! Warm calls with everything observed, beside warm calls with nothing observed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flame_aws::metrics::{Emf, SinkHandle};
use tracing::instrument::WithSubscriber;
use tracing::span;

use crate::condition::Condition;
use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::sample::{Effort, Rounds, micros, samples};

const ROUNDS: usize = 25;
const CALLS_A_ROUND: usize = 1_000;

pub(crate) async fn measure(condition: Condition, effort: Effort) -> Figures {
    let off = pools::warmed(pools::builder().log(false), 1, 1).await;
    // Its runner installs a subscriber, and forwards its log.
    let on = pools::warmed(pools::builder().log(true), 1, 1).await;
    let payload = pools::payload(SMALL);

    let (mut unobserved, mut observed) = (Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds(ROUNDS) {
        let one = samples!(CALLS_A_ROUND, pools::call(&off, &payload).await);
        let sink = sink().await;
        let calls = async { samples!(CALLS_A_ROUND, pools::call(&on, &payload).await) };
        let other = calls.with_subscriber(NoExporter::default()).await;
        sink.flush().await.expect("the coordinator reads standard output");
        // The first round warms up.
        if round > 0 {
            unobserved.push(&one);
            observed.push(&other);
        }
    }
    off.drain().await;
    on.drain().await;

    let suffix = condition.suffix();
    let (unobserved, observed) = (micros(unobserved.p50()), micros(observed.p50()));
    let mut figures = Figures::default();
    figures.set(format!("unobserved_call_p50_us{suffix}"), unobserved);
    figures.set(format!("observed_call_p50_us{suffix}"), observed);
    figures.set(format!("observability_overhead{suffix}"), observed / unobserved);
    figures
}

/// A sink that reports after each round, and so far more often than it does by default.
async fn sink() -> SinkHandle {
    Emf::new("bench").period(Duration::from_secs(60)).start().await.expect("valid options")
}

/// A subscriber that records every span and event, and exports none.
#[derive(Default)]
struct NoExporter {
    spans: AtomicU64,
}

impl tracing::Subscriber for NoExporter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::DEBUG
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
