//! Pools whose runners connect through a proxy that behaves like a bad network.

use std::ops::Deref;

use flame_aws::{Pool, PoolBuilder};

use super::pools;
use crate::proxy::{self, Proxy};
use crate::relay::TestRelay;

/// The proxy in front of a pool, or in front of the relay of a pool.
#[derive(Debug)]
pub struct PoolProxy {
    proxy: Proxy,
    _relay: Option<TestRelay>,
}

impl Deref for PoolProxy {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

/// Starts a pool whose runners connect through a proxy, in the mode of the test that calls this.
///
/// ```text
/// direct:  runner ──▶ proxy ──▶ the pool's listener
/// relay:   runner ──▶ proxy ──▶ a relay ◀── proxy ◀── the parent's socket for the runner
///                                       ◀── the parent's control connection
/// ```
///
/// With a relay, the proxy is the address of the relay's node, so each runner has two connections
/// through it.
pub async fn pool_behind_proxy(make: impl Fn() -> PoolBuilder, seed: u64) -> (Pool, PoolProxy) {
    if !pools::is_relayed() {
        let (pool, proxy) = proxy::pool_behind(make, seed).await;
        return (pool, PoolProxy { proxy, _relay: None });
    }
    let (relay, proxy) = TestRelay::start_behind_proxy(seed).await;
    let pool = make().relay(relay.option()).start().await.expect("the relay can be reached");
    (pool, PoolProxy { proxy, _relay: Some(relay) })
}
