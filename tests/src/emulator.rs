//! AWS on this machine: the emulator of `localstack/`, whose tasks and functions are real processes.
//!
//! A suite starts one, with the first test that asks for it, and ends it in its `main`; should the
//! suite be killed, the emulator ends with it. Each test has an [`Account`] of its own in it, so
//! tests see nothing of each other. The image [`IMAGE`] is the suite itself: what AWS starts of it
//! is a copy of the suite, as a process or, where that is asked for, in a [container](containers).
//!
//! Where AWS_ENDPOINT_URL is set, AWS is what listens there, and nothing is started. That may be
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

use crate::{Folder, process};

pub mod containers;
mod ecs;
mod elsewhere;
mod lambda;
mod reach;

use containers::Containers;
pub use ecs::EcsApp;
pub use lambda::Function;
pub use reach::{checks, reachable};

/// The image that is the suite itself.
pub const IMAGE: &str = "flame-suite:1";
/// The region that everything is in.
pub const REGION: &str = "eu-central-1";

/// AWS, as the suite has found or started it.
struct Aws {
    endpoint: String,
    /// Whether it is the emulator, whoever has started it.
    emulated: bool,
    own: Option<Emulator>,
}

/// An emulator of this suite.
struct Emulator {
    child: Child,
    /// The table of images, and what the emulator says.
    folder: Folder,
    containers: Option<Containers>,
}

static AWS: Mutex<Option<Result<Aws, String>>> = Mutex::new(None);

/// Finds AWS, or starts it, unless that is done already. Blocks.
///
/// # Errors
/// There is none: with a sentence that says why. A suite that needs it is never skipped.
pub fn ready() -> Result<(), String> {
    with_aws(|_| ())
}

/// Whether AWS is the emulator, and so has its pages. Blocks.
///
/// # Errors
/// As [`ready`].
pub fn is_used() -> Result<bool, String> {
    with_aws(|aws| aws.emulated)
}

fn with_aws<T>(ask: impl FnOnce(&Aws) -> T) -> Result<T, String> {
    let mut aws = AWS.lock().unwrap_or_else(PoisonError::into_inner);
    match aws.get_or_insert_with(Aws::find) {
        Ok(aws) => Ok(ask(aws)),
        Err(why) => Err(format!("this needs AWS: {why}")),
    }
}

/// Ends the emulator, if one was started. For the end of a suite.
///
/// # Errors
/// A container is left: with a sentence that names it.
pub fn end() -> Result<(), String> {
    let aws = AWS.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Ok(Aws { own: Some(mut emulator), .. })) = aws else { return Ok(()) };
    drop(emulator.child.stdin.take());
    let _ = emulator.child.wait();
    emulator.containers.map_or(Ok(()), Containers::end)
}

impl Aws {
    fn find() -> Result<Self, String> {
        match elsewhere::named() {
            Some(endpoint) => {
                let emulated = elsewhere::is_the_emulator(&endpoint)?;
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
    /// Starts one; its endpoint, too.
    fn start() -> Result<(Self, String), String> {
        let folder = Folder::new();
        let images = folder.path().join("images.json");
        let suite = std::env::current_exe().map_err(|error| error.to_string())?;
        let (containers, entry) = if containers::asked_for() {
            let (made, entry) = Containers::make(folder.path().join("podman"), &suite)?;
            (Some(made), entry)
        } else {
            (None, json!({ "entrypoint": [suite] }))
        };
        let table = json!({ IMAGE: entry });
        std::fs::write(&images, table.to_string()).map_err(|error| error.to_string())?;
        let said = folder.path().join("said");
        let log = std::fs::File::create(&said).map_err(|error| error.to_string())?;
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
        let stdout = child.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        let told: Option<Value> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        let endpoint = told.as_ref().and_then(|told| told["endpoint"].as_str());
        match endpoint {
            Some(endpoint) => Ok((Self { child, folder, containers }, endpoint.to_owned())),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                Err(format!("{} did not start; it said:\n{said}", script.display()))
            }
        }
    }
}

/// An account of one test.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its number, which is the access key as well.
    pub id: String,
    /// Where AWS is.
    pub endpoint: String,
    emulated: bool,
    http: reqwest::Client,
}

impl Account {
    /// A new one, with nothing in it.
    ///
    /// # Panics
    /// There is no AWS: see [`ready`].
    pub async fn new() -> Self {
        let find = || with_aws(|aws| (aws.endpoint.clone(), aws.emulated));
        let found = tokio::task::spawn_blocking(find).await.expect("finding AWS does not panic");
        let (endpoint, emulated) = found.unwrap_or_else(|why| panic!("{why}"));
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { id: new_number().to_string(), endpoint, emulated, http }
    }

    /// The SDK's configuration.
    pub async fn sdk(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new(&self.id, "secret", None, None, "tests"))
            .load()
            .await
    }

    /// The variables by which a process uses this account.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    /// Adds a fault: see `localstack/README.md` for what there is.
    pub async fn fault(&self, mut fault: Value) {
        fault["account"] = self.id.clone().into();
        let answer = self.http.post(self.control("_faults")).json(&json!([fault])).send().await;
        let answer = answer.expect("the emulator answers");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "the emulator does not take {fault}: {text}");
    }

    /// Makes the next calls of an operation fail with an error of AWS.
    pub async fn fails(&self, target: &str, count: u32, error: &str, message: &str) {
        let status = if error == "ServerException" { 500 } else { 400 };
        self.fault(json!({
            "target": target, "count": count, "status": status, "type": error, "message": message,
        }))
        .await;
    }

    /// Takes all faults away.
    pub async fn heal(&self) {
        let healed = self.http.delete(self.control("_faults")).send().await;
        healed.expect("the emulator answers");
    }

    /// How often each operation was called.
    pub async fn calls(&self) -> BTreeMap<String, u64> {
        self.get("_calls").await
    }

    /// How often an operation was called.
    pub async fn count(&self, operation: &str) -> u64 {
        self.calls().await.get(operation).copied().unwrap_or(0)
    }

    /// The processes that run: containers, and environments of functions.
    pub async fn running(&self) -> Vec<u32> {
        let running: Value = self.get("_running").await;
        let all = ["containers", "environments"].map(|kind| running[kind].as_array().cloned());
        let pids = all.into_iter().flatten().flatten().filter_map(|one| one["pid"].as_u64());
        pids.map(|pid| u32::try_from(pid).expect("a pid")).collect()
    }

    /// Ends all that runs with -9. A container ends with its process.
    pub async fn kill(&self) {
        self.running().await.into_iter().for_each(process::kill);
    }

    /// Waits until nothing of this account runs.
    pub async fn until_nothing_runs(&self) {
        let waiting = async {
            while !self.running().await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
        waited.unwrap_or_else(|_| panic!("something of account {} runs on", self.id));
    }

    /// Posts to the emulator's own pages, such as `_spot`.
    pub async fn post(&self, page: &str, body: Value) {
        let answer = self.http.post(self.control(page)).json(&body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.unwrap_or_else(|error| panic!("the emulator does not take {body}: {error}"));
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, page: &str) -> T {
        let answer = self.http.get(self.control(page)).send().await.expect("the emulator answers");
        answer.json().await.expect("the emulator answers with JSON")
    }

    fn control(&self, page: &str) -> String {
        format!("{}/{page}?account={}", self.endpoint, self.id)
    }
}

/// The number of an account: of this run, and of no other at the same endpoint.
fn new_number() -> u64 {
    static FIRST: LazyLock<u64> =
        LazyLock::new(|| 100_000_000_000 + 200 * u64::from(rand::random::<u32>()));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    *FIRST + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the suite's emulator has said so far, for a test that fails.
#[must_use]
pub fn said() -> String {
    let aws = AWS.lock().unwrap_or_else(PoisonError::into_inner);
    let own = aws.as_ref().and_then(|found| found.as_ref().ok()?.own.as_ref());
    let said = own.map(|emulator| emulator.folder.path().join("said"));
    said.and_then(|said| std::fs::read_to_string(said).ok()).unwrap_or_default()
}
