//! Pools whose runners connect through a proxy.

use std::net::SocketAddr;

use flame_aws::{Pool, PoolBuilder, PoolError};

use super::Proxy;

/// Starts a pool whose runners connect through a proxy.
pub async fn pool_behind(make: impl Fn() -> PoolBuilder, seed: u64) -> (Pool, Proxy) {
    at_free_address(|address| {
        let pool = make().listen(address);
        async move {
            let proxy = Proxy::start(address, seed).await;
            Ok((pool.advertise(proxy.address()).start().await?, proxy))
        }
    })
    .await
}

/// Starts a pool that listens at a free address, which `start` gets before the pool exists.
///
/// # Panics
/// Panics if the pool does not start.
pub async fn at_free_address<T, F>(start: impl Fn(SocketAddr) -> F) -> T
where
    F: Future<Output = Result<T, PoolError>>,
{
    loop {
        match start(free_address()).await {
            Ok(started) => return started,
            // Another test has taken the port.
            Err(PoolError::Listen { .. }) => {}
            Err(error) => panic!("the pool does not start: {error}"),
        }
    }
}

/// Returns an address at which nothing listens.
#[must_use]
pub fn free_address() -> SocketAddr {
    // Only callers of this function listen on port 0 of this address, so the port stays free.
    let free = std::net::TcpListener::bind("127.0.0.2:0").expect("a free port");
    free.local_addr().expect("the listener is bound")
}
