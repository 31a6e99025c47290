//! A stand-in for Fly's Machines API, whose machines are copies of the suite.
//!
//! It was written from the API's documentation: its OpenAPI description, the page on machine states,
//! and Fly's own client (superfly/fly-go). Where these say nothing, as about most error texts, it
//! says what was seen elsewhere; `control/src/backend/fly/failure.rs` has the sources. Nothing here
//! proves how Fly behaves.
//!
//! Each machine is a process with a process group of its own. A suite starts one server with the
//! first test that needs it. Each test may have an [`App`] of its own, with its own faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flame_aws::backend::{Fly, FlyBuilder};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

mod api;
mod machine;

pub use api::{Action, Fault};
use machine::Machine;

/// The image of the suite.
pub const IMAGE: &str = "registry.fly.io/suite:deployment-1";
/// The app of the tests that don't ask for one of their own.
const SHARED_APP: &str = "suite";
/// How long runners of pools that were dropped may take to end by themselves.
const END: Duration = Duration::from_secs(60);

static SHARED: Mutex<Option<StandIn>> = Mutex::new(None);

/// The server.
#[derive(Clone)]
pub struct StandIn {
    url: String,
    state: Arc<State>,
}

/// An app on Fly, with its machines.
#[derive(Clone)]
pub struct App {
    site: StandIn,
    name: String,
}

#[derive(Default)]
struct State {
    apps: Mutex<BTreeMap<String, AppState>>,
    /// Changes whenever a machine does.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct AppState {
    machines: BTreeMap<String, Machine>,
    faults: Vec<(Action, u32, Fault)>,
    requests: Vec<Action>,
    /// When machines were created, if Fly's limit for that applies.
    limited: Option<Vec<Instant>>,
}

/// Returns the stand-in that the tests of this suite share, and starts it if it does not run.
#[must_use]
pub fn shared() -> StandIn {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.get_or_insert_with(StandIn::start).clone()
}

/// Waits until no machine is left.
///
/// # Errors
/// Returns the machines that were left over. They are killed.
pub fn end() -> Result<(), String> {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(site) = shared else { return Ok(()) };
    let begun = Instant::now();
    loop {
        let left = site.left();
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > END {
            site.kill_all();
            return Err(format!("machines are left over: {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl AppState {
    fn will_fail(&self, action: Action) -> bool {
        self.faults.iter().any(|(of, times, _)| *of == action && *times > 0)
    }

    /// How the next request of this kind fails, if it does.
    fn next_fault(&mut self, action: Action) -> Option<Fault> {
        let pending = |(of, times, _): &&mut (Action, u32, Fault)| *of == action && *times > 0;
        let (_, times, fault) = self.faults.iter_mut().find(pending)?;
        *times -= 1;
        Some(fault.clone())
    }
}

impl State {
    fn apps(&self) -> MutexGuard<'_, BTreeMap<String, AppState>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a machine, and tells those that wait for it.
    fn change(&self, app: &str, id: &str, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.apps().get_mut(app).and_then(|app| app.machines.get_mut(id)) {
            change(machine);
        }
        self.changed.send_modify(|changes| *changes += 1);
    }
}

impl StandIn {
    /// Starts the server on a thread of its own, because each test has its own runtime.
    fn start() -> Self {
        let state = Arc::new(State::default());
        let (address, bound) = std::sync::mpsc::channel();
        let router = api::router(state.clone());
        std::thread::spawn(move || {
            crate::runtime().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("a port is free");
                let _ = address.send(listener.local_addr().expect("it is bound"));
                axum::serve(listener, router).await.expect("the server runs");
            });
        });
        let address = bound.recv().expect("the server starts");
        Self { url: format!("http://{address}"), state }
    }

    /// The app of this name, which is created if it does not exist.
    #[must_use]
    pub fn app(&self, name: &str) -> App {
        self.state.apps().entry(name.to_owned()).or_default();
        App { site: self.clone(), name: name.to_owned() }
    }

    /// The app of the tests that don't ask for one of their own.
    #[must_use]
    pub fn suite_app(&self) -> App {
        self.app(SHARED_APP)
    }

    fn left(&self) -> Vec<String> {
        let apps = self.state.apps();
        let left = apps.iter().flat_map(|(name, app)| {
            let left = app.machines.values().filter(|machine| machine.exists());
            left.map(move |machine| format!("{name}/{} ({})", machine.id, machine.state))
        });
        left.collect()
    }

    fn kill_all(&self) {
        for app in self.state.apps().values() {
            app.machines.values().for_each(Machine::kill);
        }
    }
}

impl App {
    /// The address of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.site.url
    }

    /// The name of the app.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token for the app.
    #[must_use]
    pub fn token(&self) -> String {
        api::token(&self.name)
    }

    /// A backend whose runners are copies of the suite.
    pub fn backend(&self) -> FlyBuilder {
        let backend = Fly::builder().host(self.url()).app(&self.name).image(IMAGE);
        let backend = backend.token(self.token());
        match std::env::var("DEMO_TRACE") {
            Ok(filter) => backend.env("DEMO_TRACE", filter),
            Err(_) => backend,
        }
    }

    /// The next requests of this kind, so many, fail in this way.
    pub fn fail(&self, action: Action, times: u32, fault: Fault) {
        self.with(|app| app.faults.push((action, times, fault)));
    }

    /// Applies Fly's limit for the creation of machines: three at once, and one a second.
    pub fn limit_creations(&self) {
        self.with(|app| app.limited = Some(Vec::new()));
    }

    /// How many requests of this kind have arrived.
    #[must_use]
    pub fn requests(&self, action: Action) -> usize {
        self.with(|app| app.requests.iter().filter(|one| **one == action).count())
    }

    /// The ids of all machines that exist.
    #[must_use]
    pub fn machines(&self) -> Vec<String> {
        self.with(|app| {
            let exist = app.machines.values().filter(|machine| machine.exists());
            exist.map(|machine| machine.id.clone()).collect()
        })
    }

    /// How many machines were ever created.
    #[must_use]
    pub fn created(&self) -> usize {
        self.with(|app| app.machines.len())
    }

    /// A metadata value of a machine.
    #[must_use]
    pub fn metadata(&self, id: &str, key: &str) -> Option<String> {
        let config = self.config(id);
        config["metadata"][key].as_str().map(str::to_owned)
    }

    /// The configuration that a machine was created with.
    #[must_use]
    pub fn config(&self, id: &str) -> Value {
        self.with(|app| app.machines[id].config.clone())
    }

    /// The region that a machine was created in.
    #[must_use]
    pub fn region(&self, id: &str) -> String {
        self.with(|app| app.machines[id].region.clone())
    }

    /// The process of a machine, if it runs.
    #[must_use]
    pub fn pid(&self, id: &str) -> Option<u32> {
        self.with(|app| app.machines[id].pid)
    }

    /// Reports that the kernel has killed the machine's process for lack of memory when it ends.
    pub fn will_be_out_of_memory(&self, id: &str) {
        self.site.state.change(&self.name, id, |machine| machine.oom_killed = true);
    }

    /// Somebody else takes the lease of a machine, or gives it back.
    pub fn set_leased(&self, id: &str, leased: bool) {
        let nonce = leased.then(|| "somebody-else".to_owned());
        self.site.state.change(&self.name, id, |machine| machine.lease = nonce);
    }

    /// Somebody destroys a machine by hand.
    pub fn destroy_by_hand(&self, id: &str) {
        api::destroy(&self.site.state, &self.name, id);
    }

    /// Somebody stops a machine by hand, as `fly machine stop` does.
    pub fn stop_by_hand(&self, id: &str) {
        api::stop(&self.site.state, &self.name, id);
    }

    /// Somebody creates a machine with this metadata, which only sleeps.
    pub fn create_by_hand(&self, name: &str, metadata: &[(&str, &str)]) -> String {
        let metadata: BTreeMap<_, _> = metadata.iter().copied().collect();
        let config = serde_json::json!({ "image": machine::SLEEP, "metadata": metadata });
        machine::launch(&self.site.state, &self.name, name.to_owned(), None, config)
    }

    /// Waits until no machine exists.
    pub async fn until_no_machines(&self) {
        crate::until("no machine is left", || self.machines().is_empty()).await;
    }

    fn with<T>(&self, ask: impl FnOnce(&mut AppState) -> T) -> T {
        ask(self.site.state.apps().get_mut(&self.name).expect("the app exists"))
    }
}
