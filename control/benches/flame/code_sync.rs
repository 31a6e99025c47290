//! How fast a runner of another build fetches this executable: the time that an empty cache adds to
//! a boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flame_aws::PoolBuilder;
use flame_aws::backend::Process;
use flame_runner_shim::build_id;
use flame_runner_shim::code_sync::FOLDER_ENV;

use crate::figures::Figures;
use crate::pools::{self, SMALL};
use crate::relay::RelayProcess;
use crate::sample::{Effort, Samples, millis, now};

const ROUNDS: usize = 15;

pub(crate) async fn measure(effort: Effort) -> Figures {
    let other = OtherBuild::create();
    let relay = RelayProcess::start().await;
    let (mut direct, mut relayed) = (Boots::default(), Boots::default());
    for round in 0..=effort.rounds(ROUNDS) {
        // In the first round, the parent hashes its executable.
        direct.measure(&other, pools::builder, round > 0).await;
        relayed.measure(&other, || pools::builder().relay(relay.option()), round > 0).await;
    }
    let mut figures = Figures::default();
    direct.report(&other, "", &mut figures);
    relayed.report(&other, "_relayed", &mut figures);
    figures
}

/// First calls on an empty pool.
#[derive(Default)]
struct Boots {
    fetching: Samples,
    cached: Samples,
    /// The differences of the two, round by round.
    added: Samples,
}

impl Boots {
    async fn measure(&mut self, other: &OtherBuild, pool: impl Fn() -> PoolBuilder, counts: bool) {
        other.empty_cache();
        let fetching = first_call(other, pool()).await;
        let cached = first_call(other, pool()).await;
        if counts {
            self.fetching.push(fetching);
            self.cached.push(cached);
            self.added.push(fetching.saturating_sub(cached));
        }
    }

    fn report(&self, other: &OtherBuild, suffix: &str, figures: &mut Figures) {
        let megabytes = f64::from(other.len) / 1e6;
        let rate = megabytes / self.added.p50().as_secs_f64();
        figures.set("code_sync_MB", megabytes);
        figures.set(format!("code_sync_MBps{suffix}"), rate);
        figures.set(format!("code_sync_first_call_ms{suffix}"), millis(self.fetching.p50()));
        figures.set(format!("code_sync_cached_call_ms{suffix}"), millis(self.cached.p50()));
    }
}

async fn first_call(other: &OtherBuild, pool: PoolBuilder) -> Duration {
    let backend = Process::new().program(&other.program).env(FOLDER_ENV, other.cache());
    let pool = pool.max(1).code_sync(true).backend(backend).start().await.expect("a pool");
    let start = now();
    pools::call(&pool, &pools::payload(SMALL)).await;
    let took = start.elapsed();
    pool.drain().await;
    took
}

/// A copy of this executable that is another build, and a cache. Both are removed when this is
/// dropped.
struct OtherBuild {
    folder: PathBuf,
    program: PathBuf,
    /// The length of this executable in bytes.
    len: u32,
}

impl OtherBuild {
    fn create() -> Self {
        let folder = std::env::temp_dir().join(format!("flame-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        let executable = std::env::current_exe().expect("the path of this executable");
        let mut bytes = fs::read(&executable).expect("this executable");
        let len = u32::try_from(bytes.len()).expect("less than 4 GiB");
        change_build_id(&mut bytes);
        let program = folder.join("other-build");
        // The copy has the permissions of this executable.
        fs::copy(&executable, &program).expect("room for a copy");
        fs::write(&program, bytes).expect("room for a copy");
        Self { folder, program, len }
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    fn empty_cache(&self) {
        let cache: &Path = &self.cache();
        if cache.exists() {
            fs::remove_dir_all(cache).expect("a folder of this process");
        }
    }
}

impl Drop for OtherBuild {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Changes one bit of the linker's build id. The executable behaves as before.
fn change_build_id(executable: &mut [u8]) {
    let id = build_id::parse(executable).expect("the linker writes a build id");
    let id = id.as_str().strip_prefix("gnu-").expect("the id is a GNU build id");
    let id: [u8; 20] = flame_wire::hex::decode(id).expect("20 bytes in hexadecimal digits");
    let at = executable.windows(id.len()).position(|window| window == id).expect("its own id");
    executable[at] ^= 1;
}
