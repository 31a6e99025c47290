//! The time from the cut of a runner's connection until the answer to a call that was made after
//! the cut.

use flame_aws::Pool;

use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::proxy::Proxy;
use crate::relay::RelayProcess;
use crate::sample::{Effort, Samples, millis};

const ROUNDS: usize = 100;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let mut direct = Cuttable::direct().await;
    let mut relayed = Cuttable::relayed().await;
    for round in 0..=effort.rounds(ROUNDS) {
        // The first round warms up.
        direct.cut_and_call(round > 0).await;
        relayed.cut_and_call(round > 0).await;
    }
    let mut figures = Figures::default();
    direct.finish("", &mut figures).await;
    relayed.finish("_relayed", &mut figures).await;
    figures
}

/// A pool whose runner connects through a proxy.
struct Cuttable {
    pool: Pool,
    proxy: Proxy,
    _relay: Option<RelayProcess>,
    resumed: Samples,
    /// The part of it until the runner connects again. It includes the runner's pause, if any.
    redialled: Samples,
}

impl Cuttable {
    async fn direct() -> Self {
        let proxy = Proxy::start();
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port for the pool");
        let address = free.local_addr().expect("the listener's address");
        drop(free);
        proxy.forward_to(address);
        let pool = pools::builder().listen(address).advertise(format!("ws://{}", proxy.address));
        Self::new(pools::warmed(pool, 1, 1).await, proxy, None)
    }

    /// The proxy is in front of the relay, for the runner and for the parent's socket to it. The
    /// parent's control connection does not pass through it.
    async fn relayed() -> Self {
        let proxy = Proxy::start();
        let relay = RelayProcess::start_announcing(proxy.address).await;
        proxy.forward_to(relay.address);
        let pool = pools::warm_through(&relay, 1, 1).await;
        Self::new(pool, proxy, Some(relay))
    }

    fn new(pool: Pool, proxy: Proxy, relay: Option<RelayProcess>) -> Self {
        let (resumed, redialled) = Default::default();
        Self { pool, proxy, _relay: relay, resumed, redialled }
    }

    async fn cut_and_call(&mut self, counts: bool) {
        let payload = pools::payload(SMALL);
        let cut = self.proxy.cut().await;
        pools::call(&self.pool, &payload).await;
        let (resumed, reopened) = (cut.elapsed(), self.proxy.reopened());
        let reopened = reopened.expect("the call used a new connection");
        if counts {
            self.resumed.push(resumed);
            self.redialled.push(reopened.duration_since(cut));
        }
    }

    async fn finish(self, suffix: &str, figures: &mut Figures) {
        self.pool.drain().await;
        let Self { resumed, redialled, .. } = self;
        figures.set(format!("resume_ms{suffix}"), millis(resumed.p50()));
        figures.set(format!("resume_p99_ms{suffix}"), millis(resumed.p99()));
        figures.set(format!("resume_redial_ms{suffix}"), millis(redialled.p50()));
    }
}
