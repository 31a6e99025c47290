//! Pools whose runners connect through a proxy that behaves like a bad network.

use std::ops::Deref;

use flame_aws::{Pool, PoolBuilder, Relay};

use super::pools;
use crate::proxy::{self, Proxy};
use crate::relay::{KEY, TestRelay};

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
/// relay:   runner ──▶ proxy ──▶ a relay ◀── proxy ◀── the parent's sockets and control connection
/// ```
///
/// With a relay, all connections pass through the proxy: a runner that also knew the relay's own
/// address would avoid the proxy.
pub async fn pool_behind_proxy(make: impl Fn() -> PoolBuilder, seed: u64) -> (Pool, PoolProxy) {
    if !pools::is_relayed() {
        let (pool, proxy) = proxy::pool_behind(make, seed).await;
        return (pool, PoolProxy { proxy, _relay: None });
    }
    let relay = TestRelay::start();
    let proxy = Proxy::start(relay.address(), seed).await;
    let option = Relay::new(proxy.address()).key(KEY);
    let pool = make().relay(option).start().await.expect("the relay can be reached");
    (pool, PoolProxy { proxy, _relay: Some(relay) })
}
