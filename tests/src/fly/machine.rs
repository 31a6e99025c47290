//! The machines of the stand-in: processes, and the states that they pass.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{IMAGE, State};

/// The image of a program that only sleeps.
pub(super) const SLEEP: &str = "registry.fly.io/sleep:1";
/// How long a state lasts through which a machine only passes.
const PASSING: Duration = Duration::from_millis(10);

/// A machine.
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) instance_id: String,
    pub(super) region: String,
    pub(super) config: Value,
    pub(super) pid: Option<u32>,
    pub(super) lease: Option<String>,
    pub(super) requested_stop: bool,
    pub(super) oom_killed: bool,
    created_at: String,
    events: Vec<Value>,
}

impl Machine {
    pub(super) fn exists(&self) -> bool {
        self.state != "destroyed" || self.pid.is_some()
    }

    /// Kills its process, and what the process has started. The process may just have exited.
    pub(super) fn kill(&self) {
        if let Some(leader) = self.pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "state": self.state, "region": self.region,
            "instance_id": self.instance_id, "private_ip": "::1", "config": self.config,
            "created_at": self.created_at, "events": self.events, "host_status": "ok",
        })
    }

    fn enter(&mut self, state: &'static str, kind: &str, request: &Value) {
        if self.state == "destroyed" {
            return;
        }
        self.state = state;
        let event = json!({
            "type": kind, "status": state, "source": "flyd", "request": request,
            "timestamp": self.events.len(),
        });
        // The newest is the first.
        self.events.insert(0, event);
    }
}

/// Creates a machine, and starts it in the background. Returns its id.
pub(super) fn launch(
    state: &Arc<State>,
    app: &str,
    name: String,
    region: Option<String>,
    config: Value,
) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:x}{number:06x}", 0x0148_ed1d_u64);
    let mut machine = Machine {
        id: id.clone(),
        name,
        state: "created",
        instance_id: format!("01G3F5JJ{number}"),
        region: region.unwrap_or_else(|| "cdg".to_owned()),
        config,
        pid: None,
        lease: None,
        requested_stop: false,
        oom_killed: false,
        created_at: now(),
        events: Vec::new(),
    };
    machine.enter("created", "launch", &Value::Null);
    let (state, app) = (state.clone(), app.to_owned());
    if let Some(app) = state.apps().get_mut(&app) {
        app.machines.insert(id.clone(), machine);
    }
    let started = id.clone();
    // Callers are on other runtimes, or on none.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for the machine").block_on(run(&state, &app, &started));
    });
    id
}

/// The life of a machine.
async fn run(state: &State, app: &str, id: &str) {
    tokio::time::sleep(PASSING).await;
    let Some(mut child) = start(state, app, id) else { return };
    let status = child.wait().await.expect("the process can be waited for");
    let code = status.code().unwrap_or_else(|| {
        128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default()
    });
    let mut auto_destroy = true;
    state.change(app, id, |machine| {
        // What the program has started ends with its machine.
        machine.kill();
        machine.pid = None;
        let exit = json!({ "exit_event": {
            "exit_code": code, "guest_exit_code": 0, "guest_signal": -1, "signal": -1,
            "oom_killed": machine.oom_killed, "requested_stop": machine.requested_stop,
        }, "restart_count": 0 });
        let next = if machine.state == "destroying" { "destroying" } else { "stopped" };
        machine.enter(next, "exit", &exit);
        auto_destroy = machine.state == "destroying" || machine.config["auto_destroy"] == true;
    });
    if !auto_destroy {
        return;
    }
    tokio::time::sleep(PASSING).await;
    state.change(app, id, |machine| machine.enter("destroying", "destroy", &Value::Null));
    tokio::time::sleep(PASSING).await;
    state.change(app, id, |machine| machine.enter("destroyed", "destroy", &Value::Null));
}

/// Starts the machine's process, unless the machine was destroyed before.
fn start(state: &State, app: &str, id: &str) -> Option<Child> {
    let mut child = None;
    state.change(app, id, |machine| {
        if machine.state != "created" {
            machine.enter("destroyed", "destroy", &Value::Null);
            return;
        }
        machine.enter("starting", "start", &Value::Null);
        let started = command(machine, app).spawn().expect("the program exists");
        machine.pid = started.id();
        machine.enter("started", "start", &Value::Null);
        child = Some(started);
    });
    child
}

fn command(machine: &Machine, app: &str) -> Command {
    let mut command = match machine.config["image"].as_str() {
        Some(SLEEP) => {
            let mut sleep = Command::new("sleep");
            sleep.arg("600");
            sleep
        }
        _ => Command::new(std::env::current_exe().expect("the suite has a path")),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let env = machine.config["env"].as_object().into_iter().flatten();
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.clone(), text(value))).collect();
    let words = machine.config["init"]["cmd"].as_array().into_iter().flatten();
    let has_log = env.contains_key("DEMO_TRACE");
    command
        .args(words.map(text))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(env)
        .env("FLY_APP_NAME", app)
        .env("FLY_MACHINE_ID", &machine.id)
        .env("FLY_MACHINE_VERSION", &machine.instance_id)
        .env("FLY_REGION", &machine.region)
        .env("FLY_IMAGE_REF", IMAGE)
        .env("FLY_PRIVATE_IP", "::1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(if has_log { Stdio::inherit() } else { Stdio::null() })
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// The time in the API's format.
#[expect(clippy::disallowed_methods, reason = "the API states times of the wall clock")]
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let (mut days, seconds) = (now / 86_400, now % 86_400);
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let days_of = |year| if is_leap(year) { 366 } else { 365 };
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days_of_month in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < days_of_month {
            break;
        }
        days -= days_of_month;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}
