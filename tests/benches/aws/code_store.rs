//! How fast a runner of another build downloads this executable from a code store in S3: the time
//! that an empty cache adds to a boot. The benchmark `flame` measures the same without a store
//! (`code_sync.rs`).
//!
//! The runners are child processes, as there, so that the figures differ only by the store.

use flame_aws::Pool;
use flame_aws::backend::Process;
use flame_runner_shim::code_sync::FOLDER_ENV;
use flame_tests::emulator::{Account, Bucket};
use flame_tests::{TempDir, other_build};

use crate::functions::process_id;
use crate::report::Figure;
use crate::sample::{Effort, Samples, now};

const ROUNDS: usize = 15;

pub(crate) async fn measure(effort: Effort) -> Vec<Figure> {
    let (bucket, folder) = (Bucket::create(Account::new().await).await, TempDir::new());
    let program = other_build(folder.path());
    let cache = folder.path().join("cache");
    // All pools have the same value, so the executable is uploaded once.
    let store = bucket.store().await;
    let first_call = async || {
        let backend = Process::new().program(&program).env(FOLDER_ENV, &cache);
        let pool = Pool::builder("stored").max(1).code_store(store.clone());
        let pool = pool.backend(backend).start().await.expect("a pool");
        let start = now();
        pool.call(process_id()).await.expect("a call");
        let took = start.elapsed();
        pool.drain().await;
        took
    };
    let (mut fetching, mut cached, mut added) =
        (Samples::default(), Samples::default(), Samples::default());
    let rounds = effort.rounds(ROUNDS);
    // In the first round, the parent hashes its executable and uploads it.
    for round in 0..=rounds {
        if cache.exists() {
            std::fs::remove_dir_all(&cache).expect("a folder of this process");
        }
        let (with_download, without) = (first_call().await, first_call().await);
        if round > 0 {
            fetching.push_ms(with_download);
            cached.push_ms(without);
            added.push(with_download.saturating_sub(without).as_secs_f64());
        }
    }
    let downloads = bucket.account.count("GetObject").await;
    assert_eq!(downloads, rounds as u64 + 1, "each empty cache is filled from the store");
    vec![
        Figure::new("code_sync_MBps_store", megabytes() / added.median(), added.len()),
        Figure::new("code_sync_first_call_ms_store", fetching.median(), fetching.len())
            .beside("code_sync_cached_call_ms_store", cached.median()),
    ]
}

/// The length of this executable.
fn megabytes() -> f64 {
    let executable = std::env::current_exe().and_then(std::fs::metadata);
    let bytes = executable.expect("the path of this executable").len();
    f64::from(u32::try_from(bytes).expect("less than 4 GiB")) / 1e6
}
