//! AWS on this machine: the emulator in `localstack/`, whose tasks and functions are processes.
//!
//! A suite starts one emulator with the first test that needs it, and stops it at the end of
//! `main`. If the suite is killed, the emulator exits with it. Each test has an [`Account`] of its
//! own, so tests don't see each other's resources. The image [`IMAGE`] is the suite itself: every
//! task and invocation is a copy of the suite, as a process or, on request, in a
//! [container](containers).
//!
//! If AWS_ENDPOINT_URL is set, the suite uses the AWS at that address and starts nothing. It may be
//! another emulator, such as LocalStack: see [`emulated`](crate::emulated) for what that changes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecs::config::Credentials;
use serde_json::{Value, json};

use crate::{TempDir, process};

mod advertise;
mod bucket;
mod cloudwatch;
pub mod containers;
mod ecs;
mod external;
mod lambda;

pub(crate) use advertise::advertised;
pub use advertise::reachable;
pub use bucket::Bucket;
pub use cloudwatch::Metrics;
use containers::Containers;
pub use ecs::EcsApp;
pub use lambda::Function;

/// The image of the suite itself.
pub const IMAGE: &str = "flame-suite:1";
/// The region of every resource.
pub const REGION: &str = "eu-central-1";

/// The file with the table of images, in the folder of the emulator.
const TABLE: &str = "images.json";

/// The AWS that the suite has found or started.
struct Aws {
    endpoint: String,
    /// Whether it is the emulator of `localstack/`, started by the suite or by someone else.
    emulated: bool,
    /// The emulator, if the suite has started it.
    own: Option<Emulator>,
}

/// An emulator that this suite has started.
struct Emulator {
    child: Child,
    /// Has the table of images, and the emulator's log.
    folder: TempDir,
    containers: Option<Containers>,
}

static AWS: Mutex<Option<Result<Aws, String>>> = Mutex::new(None);

/// Finds AWS, or starts the emulator, unless that has been done. Blocks.
///
/// # Errors
/// Returns a sentence that says why there is no AWS. A suite that needs it is never skipped.
pub fn ready() -> Result<(), String> {
    with_aws(|_| ())
}

/// Returns whether AWS is the emulator, and so has the emulator's own pages. Blocks.
///
/// # Errors
/// Those of [`ready`].
pub fn is_used() -> Result<bool, String> {
    with_aws(|aws| aws.emulated)
}

fn with_aws<T>(ask: impl FnOnce(&Aws) -> T) -> Result<T, String> {
    let mut aws = AWS.lock().unwrap_or_else(PoisonError::into_inner);
    match aws.get_or_insert_with(Aws::find) {
        Ok(aws) => Ok(ask(aws)),
        Err(why) => Err(format!("this test needs AWS: {why}")),
    }
}

/// Stops the emulator, if the suite has started one. For the end of a suite.
///
/// # Errors
/// Returns a sentence that names each container that was left over.
pub fn end() -> Result<(), String> {
    let aws = AWS.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Ok(Aws { own: Some(mut emulator), .. })) = aws else { return Ok(()) };
    drop(emulator.child.stdin.take());
    let _ = emulator.child.wait();
    emulator.containers.map_or(Ok(()), Containers::end)
}

impl Aws {
    fn find() -> Result<Self, String> {
        match external::endpoint() {
            Some(endpoint) => {
                let emulated = external::is_emulator(&endpoint)?;
                Ok(Self { endpoint, emulated, own: None })
            }
            None => {
                let (emulator, endpoint) = Emulator::start()?;
                Ok(Self { endpoint, emulated: true, own: Some(emulator) })
            }
        }
    }
}

impl Emulator {
    /// Starts an emulator, and returns its endpoint as well.
    fn start() -> Result<(Self, String), String> {
        let folder = TempDir::new();
        let images = folder.path().join(TABLE);
        let suite = std::env::current_exe().map_err(|error| error.to_string())?;
        let (containers, entry) = if containers::asked_for() {
            let (made, entry) = Containers::make(folder.path().join("podman"), &suite)?;
            (Some(made), entry)
        } else {
            (None, json!({ "entrypoint": [suite] }))
        };
        let table = json!({ IMAGE: entry });
        std::fs::write(&images, table.to_string()).map_err(|error| error.to_string())?;
        let log_path = folder.path().join("log");
        let log = std::fs::File::create(&log_path).map_err(|error| error.to_string())?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/emulator/start.py");
        let mut child = Command::new("python3")
            .arg(&script)
            .arg("--images")
            .arg(&images)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| {
                format!("`python3` can't be started ({error}): install Python 3.11 or newer")
            })?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        let greeting: Option<Value> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        let endpoint = greeting.as_ref().and_then(|greeting| greeting["endpoint"].as_str());
        match endpoint {
            Some(endpoint) => Ok((Self { child, folder, containers }, endpoint.to_owned())),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                Err(format!("{} did not start. Its log:\n{log}", script.display()))
            }
        }
    }
}

/// Adds an image to the table of the suite's own emulator: its containers are this program.
///
/// # Panics
/// Panics if the suite has not started the emulator itself.
pub fn add_image(name: &str, program: &Path) {
    let add = |aws: &Aws| {
        let folder = aws.own.as_ref().expect("the emulator is this suite's own").folder.path();
        let (table, draft) = (folder.join(TABLE), folder.join("images.draft"));
        let text = std::fs::read(&table).expect("the emulator has a table of images");
        let mut images: Value = serde_json::from_slice(&text).expect("the table is JSON");
        images[name] = json!({ "entrypoint": [program] });
        std::fs::write(&draft, images.to_string()).expect("the draft is written");
        // The emulator may read the table at any moment.
        std::fs::rename(draft, table).expect("the draft exists");
    };
    with_aws(add).unwrap_or_else(|why| panic!("{why}"));
}

/// One test's account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account's number, which is also its access key.
    pub id: String,
    /// The endpoint of AWS.
    pub endpoint: String,
    emulated: bool,
    http: reqwest::Client,
}

impl Account {
    /// Returns a new, empty account.
    ///
    /// # Panics
    /// Panics if there is no AWS: see [`ready`].
    pub async fn new() -> Self {
        let find = || with_aws(|aws| (aws.endpoint.clone(), aws.emulated));
        let found = tokio::task::spawn_blocking(find).await.expect("finding AWS does not panic");
        let (endpoint, emulated) = found.unwrap_or_else(|why| panic!("{why}"));
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { id: new_number().to_string(), endpoint, emulated, http }
    }

    /// Returns the SDK's configuration for this account.
    pub async fn sdk(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new(&self.id, "secret", None, None, "tests"))
            .load()
            .await
    }

    /// Returns the variables that make a process use this account.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    /// Injects a fault: see `localstack/README.md` for those there are.
    pub async fn fault(&self, mut fault: Value) {
        fault["account"] = self.id.clone().into();
        let answer = self.http.post(self.control("_faults")).json(&json!([fault])).send().await;
        let answer = answer.expect("the emulator answers");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "the emulator rejects {fault}: {text}");
    }

    /// Makes the next `count` calls of an operation fail with an error of AWS.
    pub async fn fails(&self, target: &str, count: u32, error: &str, message: &str) {
        let status = if error == "ServerException" { 500 } else { 400 };
        self.fault(json!({
            "target": target, "count": count, "status": status, "type": error, "message": message,
        }))
        .await;
    }

    /// Removes all faults.
    pub async fn heal(&self) {
        let healed = self.http.delete(self.control("_faults")).send().await;
        healed.expect("the emulator answers");
    }

    /// Returns how often each operation was called.
    pub async fn calls(&self) -> BTreeMap<String, u64> {
        self.get("_calls").await
    }

    /// Returns how often an operation was called.
    pub async fn count(&self, operation: &str) -> u64 {
        self.calls().await.get(operation).copied().unwrap_or(0)
    }

    /// Returns the process ids of all running containers and function environments.
    pub async fn running(&self) -> Vec<u32> {
        let running: Value = self.get("_running").await;
        let all = ["containers", "environments"].map(|kind| running[kind].as_array().cloned());
        let pids = all.into_iter().flatten().flatten().filter_map(|one| one["pid"].as_u64());
        pids.map(|pid| u32::try_from(pid).expect("a pid")).collect()
    }

    /// Kills every running container and environment with SIGKILL.
    pub async fn kill(&self) {
        self.running().await.into_iter().for_each(process::kill);
    }

    /// Waits until no process of this account runs.
    pub async fn until_nothing_runs(&self) {
        let waiting = async {
            while !self.running().await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
        waited.unwrap_or_else(|_| panic!("a process of account {} is still running", self.id));
    }

    /// Posts to one of the emulator's own pages, such as `_spot`.
    pub async fn post(&self, page: &str, body: Value) {
        let answer = self.http.post(self.control(page)).json(&body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.unwrap_or_else(|error| panic!("the emulator rejects {body}: {error}"));
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, page: &str) -> T {
        let answer = self.http.get(self.control(page)).send().await.expect("the emulator answers");
        answer.json().await.expect("the emulator answers with JSON")
    }

    fn control(&self, page: &str) -> String {
        format!("{}/{page}?account={}", self.endpoint, self.id)
    }
}

/// Returns an account number that no other test uses, nor another run at the same endpoint.
fn new_number() -> u64 {
    static FIRST: LazyLock<u64> =
        LazyLock::new(|| 100_000_000_000 + 200 * u64::from(rand::random::<u32>()));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    *FIRST + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the log of the suite's emulator so far, for the message of a failing test.
#[must_use]
pub fn log() -> String {
    let aws = AWS.lock().unwrap_or_else(PoisonError::into_inner);
    let own = aws.as_ref().and_then(|found| found.as_ref().ok()?.own.as_ref());
    let path = own.map(|emulator| emulator.folder.path().join("log"));
    path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}
