//! The process of the parent: a pool, its callers, and its end.

use std::sync::Arc;
use std::time::Duration;

use flame_aws::{Pool, Relay};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::backend::Platform;
use crate::calls::{CallLedger, Caller, call_until_answered};
use crate::network::HostNetwork;
use crate::relays::{self, KEY};
use crate::scenario::{FaultPlan, Scenario};
use crate::simulation::PARENT_PORT;

/// How far the parent has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    Starting,
    Calling,
    /// All calls are made, and the parent waits until the faults are over.
    Called,
    /// Another call must get its result.
    CallingOnceMore,
    Draining,
    Drained,
}

/// The channels between the parent and the simulation.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) progress: watch::Sender<Progress>,
    /// The faults are over.
    pub(crate) healed: watch::Sender<bool>,
    /// The process may exit.
    pub(crate) exit: watch::Sender<bool>,
}

impl Contact {
    pub(crate) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::Starting),
            healed: watch::Sender::new(false),
            exit: watch::Sender::new(false),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }
}

/// The `main` of the parent.
pub(crate) async fn run(
    scenario: Scenario,
    platform: Platform,
    ledger: Arc<CallLedger>,
    network: HostNetwork,
    contact: Contact,
) {
    let pool = start(&scenario, &platform, &network).await;
    contact.progress.send_replace(Progress::Calling);
    let mut random = StdRng::seed_from_u64(scenario.seed);
    let callers = (0..scenario.callers).map(|_| {
        let caller = Caller {
            pool: pool.clone(),
            random: StdRng::seed_from_u64(random.random()),
            ledger: ledger.clone(),
            network: network.clone(),
            expects_results: scenario.faults == FaultPlan::Survivable,
        };
        tokio::spawn(caller.make_calls(scenario.time))
    });
    for caller in join_all(callers).await {
        caller.expect("a caller does not panic");
    }
    contact.progress.send_replace(Progress::Called);
    let _ = contact.healed.subscribe().wait_for(|healed| *healed).await;
    contact.progress.send_replace(Progress::CallingOnceMore);
    call_until_answered(&pool).await;
    contact.progress.send_replace(Progress::Draining);
    pool.drain().await;
    drop(pool);
    contact.progress.send_replace(Progress::Drained);
    let _ = contact.exit.subscribe().wait_for(|exit| *exit).await;
}

async fn start(scenario: &Scenario, platform: &Platform, network: &HostNetwork) -> Pool {
    loop {
        let builder = Pool::builder("simulated")
            .backend(platform.clone())
            .max(scenario.max_runners)
            .max_concurrency(scenario.max_concurrency)
            .idle_shutdown_after(scenario.idle)
            .boot_timeout(scenario.boot_timeout)
            .keepalive_timeout(scenario.keepalive)
            .reconnect_timeout(scenario.keepalive * 2)
            .timeout(None)
            .log(false);
        let builder = match scenario.relays {
            0 => builder.listen((network.address, PARENT_PORT).into()),
            relays => {
                let url = |relay| relays::url(relay, scenario.has_tls);
                let first = Relay::new(url(0)).key(KEY);
                builder.relay((1..relays).fold(first, |relay, other| relay.or(url(other))))
            }
        };
        match builder.start().await {
            Ok(pool) => return pool,
            // The relays can't be reached yet.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}
