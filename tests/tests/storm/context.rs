//! The state of one storm: its ledger, its file of executions, its processes, its randomness.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::PoolBuilder;
use flame_aws::backend::Process;
use flame_tests::{TempDir, impostor, process};
use flame_wire::parent::FlameParent;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::functions;
use crate::ledger::CallLedger;
use crate::options::Options;
use crate::report::Section;
use crate::watchdog::Watchdog;

/// The variable that marks every runner of a storm, and every process that it starts.
const MARK_ENV: &str = "STORM_MARK";

#[derive(Debug)]
pub(crate) struct StormContext {
    name: &'static str,
    seed: u64,
    folder: TempDir,
    pub(crate) ledger: CallLedger,
    pub(crate) watchdog: Arc<Watchdog>,
    served: Mutex<Served>,
}

/// The runners that have answered a call, and their FLAME_PARENTs.
#[derive(Debug, Default)]
struct Served {
    runners: BTreeSet<u32>,
    documents: Vec<FlameParent>,
}

impl StormContext {
    pub(crate) fn new(name: &'static str, options: Options) -> Arc<Self> {
        let folder = TempDir::new();
        std::fs::create_dir(folder.path().join("parents")).expect("the directory exists");
        Arc::new(Self {
            name,
            seed: options.seed,
            folder,
            ledger: CallLedger::default(),
            watchdog: Watchdog::start(options.to_repeat(name)),
            served: Mutex::default(),
        })
    }

    /// Returns the random numbers for one part of the storm.
    pub(crate) fn random(&self, part: &str) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.name, part).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    /// Returns a pool whose runners record what they execute.
    pub(crate) fn pool(&self) -> PoolBuilder {
        let backend = Process::new()
            .env(MARK_ENV, self.folder.path())
            .env(functions::FILE_ENV, self.executions())
            .env("DEMO_WRITE_PARENT_TO", self.parents());
        flame_aws::Pool::builder(self.name)
            .max(3)
            .max_concurrency(8)
            .log(false)
            .idle_shutdown_after(Duration::from_millis(200))
            .boot_timeout(Duration::from_secs(30))
            .backend(backend)
    }

    /// The file that a relay of this storm appends its log to.
    pub(crate) fn relay_log(&self) -> PathBuf {
        self.folder.path().join("relay.log")
    }

    /// The directory in which each runner writes its FLAME_PARENT, to a file named by its process
    /// id.
    fn parents(&self) -> PathBuf {
        self.folder.path().join("parents")
    }

    fn executions(&self) -> PathBuf {
        self.folder.path().join("executions")
    }

    /// Returns all processes of this storm, including zombies of this process.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = self.folder.path().to_str().expect("the path is text");
        let mut all = process::children(std::process::id());
        all.extend(process::with_variable(MARK_ENV, mark));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Records that a runner has answered a call.
    pub(crate) fn has_served(&self, runner: u32) {
        let mut served = self.served.lock().expect("nothing panics with the lock");
        if served.runners.insert(runner) {
            served.documents.push(self.document_of(runner));
        }
    }

    /// Returns the FLAME_PARENT of a runner.
    pub(crate) fn document_of(&self, runner: u32) -> FlameParent {
        impostor::flame_parent(&self.parents().join(runner.to_string()))
    }

    /// How many runners have answered a call.
    pub(crate) fn runners(&self) -> usize {
        self.served.lock().expect("nothing panics with the lock").runners.len()
    }

    /// Returns the FLAME_PARENT of the newest runner, and that of a random runner. Both runners
    /// have answered a call, so both tokens have been used.
    pub(crate) fn documents(&self, random: &mut StdRng) -> (FlameParent, FlameParent) {
        let served = self.served.lock().expect("nothing panics with the lock");
        let newest = served.documents.last().expect("a runner has served").clone();
        (newest, served.documents[random.random_range(0..served.documents.len())].clone())
    }

    /// Compares every answer with the executions.
    pub(crate) fn verify(&self) {
        let executions = functions::executions(&self.executions());
        self.ledger.verify(&executions);
        let runners: BTreeSet<_> = executions.iter().map(|(_, runner)| runner).collect();
        self.ledger.count(Section::Calls, "runners that executed", runners.len() as u64);
    }
}
