//! Pools of one process that share a port.

use std::net::SocketAddr;

use flame_aws::backend::Process;
use flame_aws::{Pool, PoolError};
use flame_tests::process::drains_cleanly;
use flame_tests::proxy::at_free_address;
use flame_tests::{TempDir, Test, demo, impostor, process_pool, tests};
use tokio::net::{TcpListener, TcpStream};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        pools_with_the_same_address_share_its_port_until_the_last_has_ended,
        pools_that_start_at_once_share_a_port,
        a_pool_that_does_not_start_leaves_no_open_port,
        a_port_of_another_process_is_an_error_that_names_it,
    ]
}

async fn pool_at(address: SocketAddr, folder: &TempDir) -> Result<Pool, PoolError> {
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    process_pool("test").max(1).listen(address).backend(backend).start().await
}

/// The address in the FLAME_PARENT of the only runner that has booted.
fn address_of_runner(folder: &TempDir) -> String {
    let files = folder.files();
    assert_eq!(files.len(), 1);
    impostor::flame_parent(&files[0]).addresses.remove(0)
}

async fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

async fn pools_with_the_same_address_share_its_port_until_the_last_has_ended() {
    let (folder, other_folder) = (TempDir::new(), TempDir::new());
    let (address, pool) = at_free_address(|address| {
        let pool = pool_at(address, &folder);
        async move { Ok((address, pool.await?)) }
    })
    .await;
    let other = pool_at(address, &other_folder).await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let other_pid = other.call(demo::pid()).await.unwrap();
    assert_ne!(pid, other_pid, "each pool has its own runner");
    assert_eq!(address_of_runner(&folder), format!("ws://{address}"));
    assert_eq!(address_of_runner(&other_folder), format!("ws://{address}"));

    drains_cleanly(&pool, &[pid]).await;
    drop(pool);
    assert_eq!(other.call(demo::pid()).await.unwrap(), other_pid);
    drains_cleanly(&other, &[other_pid]).await;
    drop(other);
    while is_open(address).await {
        tokio::task::yield_now().await;
    }
    let folder = TempDir::new();
    let again = pool_at(address, &folder).await.unwrap();
    assert_eq!(again.call(demo::double(2)).await.unwrap(), 4);
    drains_cleanly(&again, &[]).await;
}

async fn pools_that_start_at_once_share_a_port() {
    let folders = [TempDir::new(), TempDir::new()];
    let pools = at_free_address(|address| {
        let [first, second] = folders.each_ref().map(|folder| pool_at(address, folder));
        async { tokio::try_join!(first, second) }
    })
    .await;
    for pool in [&pools.0, &pools.1] {
        assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    }
    assert_eq!(address_of_runner(&folders[0]), address_of_runner(&folders[1]));
    for pool in [&pools.0, &pools.1] {
        drains_cleanly(pool, &[]).await;
    }
}

async fn a_pool_that_does_not_start_leaves_no_open_port() {
    let missing = Process::new().program("/no/such/program");
    let address = at_free_address(|address| {
        let pool = process_pool("test").backend(missing.clone()).listen(address).start();
        async move {
            match pool.await.unwrap_err() {
                PoolError::Backend(_) => Ok(address),
                error => Err(error),
            }
        }
    })
    .await;
    while is_open(address).await {
        tokio::task::yield_now().await;
    }
}

async fn a_port_of_another_process_is_an_error_that_names_it() {
    let occupied = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = occupied.local_addr().unwrap();
    let error = pool_at(address, &TempDir::new()).await.unwrap_err();
    assert!(matches!(error, PoolError::Listen { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
