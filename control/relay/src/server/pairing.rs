//! The task of a pair.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;

use super::shared::{NewPair, Shared};
use super::upgrade;
use crate::pair::Pair;

/// Waits for both upgrades, and forwards until one side ends.
pub(super) async fn run(shared: Arc<Shared>, pair: NewPair, upgrade: OnUpgrade) {
    let NewPair { ends, runner_upgrade, connections } = pair;
    let runner = ends.runner;
    let within = shared.config.handshake_timeout;
    let sockets = tokio::try_join!(
        upgrade::upgraded(runner_upgrade, within),
        upgrade::upgraded(upgrade, within),
    );
    let (runner_socket, parent_socket) = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::info!(%runner, %error, "a socket was lost before it was paired");
            return shared.metrics.pair_ended("lost_before_upgrade");
        }
    };
    tracing::debug!(%runner, "a runner and its parent are connected");
    let entry = shared.pairs.enter(ends, shared.metrics.totals().clone());
    let pair = Pair::new(runner_socket, parent_socket, shared.config.pair, entry);
    let end = pair.run(shared.closing()).await;
    shared.metrics.pair_ended(end.reason());
    tracing::debug!(%runner, reason = end.reason(), "a pair has ended");
    drop(connections);
}
