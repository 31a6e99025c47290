//! The requests that the stand-in answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::machine::{Machine, SLEEP, launch};
use super::{IMAGE, State};
use crate::process;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Creates a machine.
    Create,
    /// Asks for a machine.
    Get,
    /// Waits for a state.
    Wait,
    /// Lists machines.
    List,
    /// Destroys a machine.
    Destroy,
    /// Takes the lease of a machine.
    Lease,
}

/// How a request fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// With this status and this text, and without being carried out.
    Answer(u16, &'static str),
    /// With the status 429, and the wish that the client wait for so many seconds.
    Throttled(u64),
    /// With the status 500, although it was carried out.
    FailedAfterwards,
    /// The connection is cut before the request is carried out.
    CutBefore,
    /// The connection is cut after the request was carried out.
    CutAfter,
    /// Nothing is found, as in a copy of Fly's database that lags.
    Lags,
}

type Site = Arc<State>;
/// The result of a request: the API's answer, or its error.
type Answer = Result<Value, (u16, String)>;

/// The token for an app.
pub(super) fn token(app: &str) -> String {
    format!("FlyV1 fm2_hunter2-{app}")
}

pub(super) fn router(state: Site) -> Router {
    const MACHINE: &str = "/v1/apps/{app}/machines/{id}";
    Router::new()
        .route("/v1/apps/{app}/machines", get(list_machines).post(create_machine))
        .route(MACHINE, get(get_machine).delete(destroy_machine))
        .route(&format!("{MACHINE}/wait"), get(wait_for_machine))
        .route(&format!("{MACHINE}/lease"), post(lease_machine))
        .with_state(state)
}

/// Checks the token, applies a fault, and answers.
fn serve(
    state: &Site,
    app: &str,
    headers: &HeaderMap,
    action: Action,
    carry_out: impl FnOnce() -> Answer,
) -> Response {
    if let Err(refused) = admit(state, app, headers, action) {
        return answer(Err(refused));
    }
    let fault = {
        let mut apps = state.apps();
        apps.get_mut(app).expect("it was found").next_fault(action)
    };
    match fault {
        None => answer(carry_out()),
        Some(Fault::Answer(code, text)) => answer(Err((code, text.to_owned()))),
        Some(Fault::Throttled(seconds)) => {
            let body = Json(json!({ "error": "rate limit exceeded" }));
            let seconds = [("retry-after", seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, seconds, body).into_response()
        }
        Some(Fault::FailedAfterwards) => {
            let _ = carry_out();
            answer(Err((500, "internal: upstream failed".to_owned())))
        }
        Some(Fault::CutBefore) => cut(),
        Some(Fault::CutAfter) => {
            let _ = carry_out();
            cut()
        }
        Some(Fault::Lags) if action == Action::List => answer(Ok(json!([]))),
        Some(Fault::Lags) => answer(Err(not_found())),
    }
}

fn admit(
    state: &Site,
    app: &str,
    headers: &HeaderMap,
    action: Action,
) -> Result<(), (u16, String)> {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    let mut apps = state.apps();
    // Fly does not tell apart what does not exist and what the token can't see.
    let known = apps.get_mut(app).filter(|_| given == Some(&token(app)));
    let Some(known) = known else {
        let is_token = given.is_some_and(|given| given.starts_with("FlyV1 fm2_hunter2-"));
        return Err(match is_token {
            true => (404, "app not found".to_owned()),
            false => (401, "unauthorized".to_owned()),
        });
    };
    known.requests.push(action);
    if action == Action::Create
        && let Some(created) = &mut known.limited
    {
        created.retain(|at| at.elapsed() < Duration::from_millis(2900));
        if created.len() >= 3 {
            return Err((429, "rate limit exceeded".to_owned()));
        }
        created.push(Instant::now());
    }
    Ok(())
}

fn answer(answer: Answer) -> Response {
    let (code, body) = match answer {
        Ok(body) => (200, body),
        Err((code, text)) => (code, json!({ "error": text })),
    };
    let code = StatusCode::from_u16(code).expect("a status");
    (code, [("fly-request-id", "01HREQUEST-cdg")], Json(body)).into_response()
}

/// An answer that never arrives: the server closes the connection in the middle of it.
fn cut() -> Response {
    let broken = std::io::Error::other("the connection is cut");
    let body = futures_util::stream::iter([Ok("{"), Err(broken)]);
    Response::new(Body::from_stream(body))
}

fn not_found() -> (u16, String) {
    (404, "machine not found".to_owned())
}

/// Answers with what is asked of one machine.
fn of_machine(
    state: &State,
    app: &str,
    id: &str,
    ask: impl FnOnce(&mut Machine) -> Answer,
) -> Answer {
    let mut apps = state.apps();
    let machine = apps.get_mut(app).and_then(|app| app.machines.get_mut(id));
    machine.map_or_else(|| Err(not_found()), ask)
}

/// The pairs of a query. A name may come several times.
fn pairs(query: Option<String>) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{}", query.unwrap_or_default()));
    let url = url.expect("a query");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

async fn create_machine(
    Extract(state): Extract<Site>,
    Path(app): Path<String>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    serve(&state, &app, &headers, Action::Create, || {
        let name = request["name"].as_str().unwrap_or_default();
        let config = &request["config"];
        let image = config["image"].as_str().unwrap_or_default();
        if image != IMAGE && image != SLEEP {
            return Err((400, format!("failed to get manifest {image}: manifest unknown")));
        }
        if config["guest"]["memory_mb"].as_u64().is_some_and(|memory| memory % 256 != 0) {
            return Err((422, "invalid config.guest.memory_mb".to_owned()));
        }
        let region = request["region"].as_str();
        if region.is_some_and(|region| region.len() != 3) {
            return Err((422, format!("invalid region {}", region.unwrap_or_default())));
        }
        let taken = state.apps()[&app].machines.values().find_map(|machine| {
            (machine.exists() && machine.name == name).then(|| machine.id.clone())
        });
        if let Some(id) = taken {
            let text = format!(
                "already_exists: unique machine name violation, machine ID {id} already exists \
                 with name {name:?}"
            );
            return Err((409, text));
        }
        let region = region.map(str::to_owned);
        let id = launch(&state, &app, name.to_owned(), region, config.clone());
        of_machine(&state, &app, &id, |machine| Ok(machine.json()))
    })
}

async fn get_machine(
    Extract(state): Extract<Site>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    serve(&state, &app, &headers, Action::Get, || {
        of_machine(&state, &app, &id, |machine| Ok(machine.json()))
    })
}

async fn list_machines(
    Extract(state): Extract<Site>,
    Path(app): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let wanted = pairs(query);
    serve(&state, &app, &headers, Action::List, || {
        let is_wanted = |machine: &&Machine| {
            let metadata = &machine.config["metadata"];
            machine.state != "destroyed"
                && wanted.iter().all(|(name, value)| {
                    name.strip_prefix("metadata.").is_none_or(|key| metadata[key] == **value)
                })
        };
        let apps = state.apps();
        Ok(apps[&app].machines.values().filter(is_wanted).map(Machine::json).collect())
    })
}

async fn wait_for_machine(
    Extract(state): Extract<Site>,
    Path((app, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = pairs(query);
    let value = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let timeout = value("timeout").map_or(60, |seconds| seconds.parse().expect("a number"));
    let states: Vec<_> = query.iter().filter(|(name, _)| name == "state").collect();
    let version = value("instance_id");
    let is_stopped = states.iter().any(|(_, state)| state == "stopped");
    let mut changed = state.changed.subscribe();
    let reached = || {
        of_machine(&state, &app, &id, |machine| {
            if version.is_some_and(|version| *version != machine.instance_id) {
                return Err((400, "machine has another instance_id".to_owned()));
            }
            Ok(json!(states.iter().any(|(_, state)| *state == machine.state)))
        })
    };
    let waiting = async {
        while reached() == Ok(json!(false)) {
            changed.changed().await.expect("the server lives");
        }
    };
    let fails = state.apps().get(&app).is_some_and(|app| app.will_fail(Action::Wait));
    if timeout <= 60 && (version.is_some() || !is_stopped) && !fails {
        let _ = tokio::time::timeout(Duration::from_secs(timeout), waiting).await;
    }
    serve(&state, &app, &headers, Action::Wait, || {
        if timeout > 60 || (version.is_none() && is_stopped) {
            return Err((400, "invalid timeout, or instance_id is missing".to_owned()));
        }
        match reached()? {
            Value::Bool(true) => Ok(json!({ "ok": true })),
            _ => Err((408, "deadline_exceeded: machine did not reach the state".to_owned())),
        }
    })
}

async fn destroy_machine(
    Extract(state): Extract<Site>,
    Path((app, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let is_forced = pairs(query).iter().any(|(name, value)| name == "force" && value == "true");
    let nonce = headers.get("fly-machine-lease-nonce").and_then(|value| value.to_str().ok());
    serve(&state, &app, &headers, Action::Destroy, || {
        of_machine(&state, &app, &id, |machine| {
            if machine.lease.is_some() && machine.lease.as_deref() != nonce {
                return Err((
                    409,
                    format!("machine ID {id} lease currently held by a@example.com"),
                ));
            }
            if machine.pid.is_some() && !is_forced {
                let text = "failed_precondition: unable to destroy machine, not currently stopped";
                return Err((412, text.to_owned()));
            }
            Ok(Value::Null)
        })?;
        destroy(&state, &app, &id);
        Ok(json!({ "ok": true }))
    })
}

async fn lease_machine(
    Extract(state): Extract<Site>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    serve(&state, &app, &headers, Action::Lease, || {
        of_machine(&state, &app, &id, |machine| {
            if machine.lease.is_some() {
                return Err((
                    409,
                    format!("machine ID {id} lease currently held by a@example.com"),
                ));
            }
            machine.lease = Some(format!("nonce-{id}"));
            Ok(json!({ "status": "success", "data": { "nonce": machine.lease } }))
        })
    })
}

/// Destroys a machine, whether it runs or not.
pub(super) fn destroy(state: &State, app: &str, id: &str) {
    state.change(app, id, |machine| {
        machine.requested_stop = true;
        if machine.state != "destroyed" {
            machine.state = match machine.state {
                "stopped" | "failed" => "destroyed",
                _ => "destroying",
            };
        }
        machine.kill();
    });
}

/// Stops a machine with its own signal.
pub(super) fn stop(state: &State, app: &str, id: &str) {
    state.change(app, id, |machine| {
        machine.requested_stop = true;
        machine.state = "stopping";
        let signal = match machine.config["stop_config"]["signal"].as_str() {
            Some("SIGTERM") => Signal::TERM,
            _ => Signal::INT,
        };
        process::signal(machine.pid.expect("it runs"), signal);
    });
}
