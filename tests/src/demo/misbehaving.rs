//! Remote functions that do what a well-behaved function must not do.

use std::time::Duration;

use flame_aws::remote;

/// Kills its own process with SIGKILL while the call is under way.
#[remote]
pub async fn dies() {
    crate::process::kill(std::process::id());
    std::future::pending().await
}

/// Keeps a core busy until its process is killed.
#[remote]
pub fn spins() {
    loop {
        std::hint::spin_loop();
    }
}

/// Blocks every worker of its runner's runtime for 600 ms.
#[remote]
pub async fn blocks_every_worker_briefly() {
    let block = || tokio::spawn(async { std::thread::sleep(Duration::from_millis(600)) });
    futures_util::future::join_all((0..4).map(|_| block())).await;
}

/// Blocks every worker of its runner's runtime, and never returns.
#[remote]
pub async fn blocks_every_worker() {
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    for _ in 0..workers {
        tokio::spawn(async {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
    std::future::pending().await
}

/// Never returns, and takes 200 ms to be dropped.
#[remote]
pub async fn cleans_up_slowly() {
    struct SlowDrop;
    impl Drop for SlowDrop {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let _slow = SlowDrop;
    std::future::pending().await
}
