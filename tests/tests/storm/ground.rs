//! What one storm has: its calls, its file of executions, its mark on processes, its randomness.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::PoolBuilder;
use flame_aws::backend::Process;
use flame_tests::{Folder, impostor, process};
use flame_wire::parent::FlameParent;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::calls::Calls;
use crate::functions;
use crate::options::Options;
use crate::report::Part;
use crate::watch::Watch;

/// Marks every runner of a storm, and what it starts.
const MARK_ENV: &str = "STORM_MARK";

/// Runners that have answered a call, and the FLAME_PARENTs that they had.
#[derive(Debug, Default)]
struct Served {
    runners: BTreeSet<u32>,
    documents: Vec<FlameParent>,
}

#[derive(Debug)]
pub(crate) struct Ground {
    name: &'static str,
    seed: u64,
    folder: Folder,
    pub(crate) calls: Calls,
    pub(crate) watch: Arc<Watch>,
    served: Mutex<Served>,
}

impl Ground {
    pub(crate) fn new(name: &'static str, options: Options) -> Arc<Self> {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("told")).expect("the folder is there");
        Arc::new(Self {
            name,
            seed: options.seed,
            folder,
            calls: Calls::default(),
            watch: Watch::start(options.to_string()),
            served: Mutex::default(),
        })
    }

    /// What a part of the storm draws its decisions from.
    pub(crate) fn random(&self, part: &str) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.name, part).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    /// A pool whose runners write down what they execute.
    pub(crate) fn pool(&self) -> PoolBuilder {
        let backend = Process::new()
            .env(MARK_ENV, self.folder.path())
            .env(functions::FILE_ENV, self.executions())
            .env("DEMO_TELL", self.told());
        flame_aws::Pool::builder(self.name)
            .max(3)
            .max_concurrency(8)
            .log(false)
            .idle_shutdown_after(Duration::from_millis(200))
            .boot_timeout(Duration::from_secs(30))
            .backend(backend)
    }

    /// Where each runner leaves its FLAME_PARENT, by its process id.
    fn told(&self) -> PathBuf {
        self.folder.path().join("told")
    }

    fn executions(&self) -> PathBuf {
        self.folder.path().join("executions")
    }

    /// The processes of this storm that are there, zombies of this process among them.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = self.folder.path().to_str().expect("text");
        let mut all = process::children(std::process::id());
        all.extend(process::with_variable(MARK_ENV, mark));
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn has_served(&self, runner: u32) {
        let mut served = self.served.lock().expect("nothing panics with the lock");
        if served.runners.insert(runner) {
            let document = impostor::flame_parent(&self.told().join(runner.to_string()));
            served.documents.push(document);
        }
    }

    /// How many runners have answered a call.
    pub(crate) fn runners(&self) -> usize {
        self.served.lock().expect("nothing panics with the lock").runners.len()
    }

    /// The FLAME_PARENT of the runner that was new last, and that of any that has answered a call:
    /// its token has been used.
    pub(crate) fn documents(&self, random: &mut StdRng) -> (FlameParent, FlameParent) {
        let served = self.served.lock().expect("nothing panics with the lock");
        let last = served.documents.last().expect("a runner has served").clone();
        (last, served.documents[random.random_range(0..served.documents.len())].clone())
    }

    /// Holds every answer against what was executed.
    pub(crate) fn judge(&self) {
        let executions = functions::executions(&self.executions());
        self.calls.judge(&executions);
        let runners: BTreeSet<_> = executions.iter().map(|(_, runner)| runner).collect();
        self.calls.count(Part::Calls, "runners that executed", runners.len() as u64);
    }
}
