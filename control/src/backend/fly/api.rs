//! The requests to Fly's Machines API. Each one is made once: the callers know what may be repeated.
//!
//! Source: <https://docs.machines.dev>, the API's OpenAPI description.

use std::time::Duration;

use flame_wire::token::Zeroizing;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{ApiError, ErrorKind};
use super::machine::Machine;
use super::settings::Settings;
use super::watch::Waited;
use crate::backend::BackendError;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for an answer, unless a request says otherwise.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a long poll lasts. The API allows a minute.
const WAIT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a list of some thousand machines.
const LONGEST_ANSWER: usize = 64 << 20;
/// How long a lease is held, in seconds, by a process that dies with it.
const LEASE: u32 = 30;

const NONCE: HeaderName = HeaderName::from_static("fly-machine-lease-nonce");
const REQUEST_ID: &str = "fly-request-id";

/// A client for the machines of one app.
pub(super) struct Api {
    client: Client,
    host: Url,
    app: String,
    token: Zeroizing<String>,
    authorization: HeaderValue,
}

#[derive(Deserialize)]
struct Lease {
    data: LeaseData,
}

#[derive(Deserialize)]
struct LeaseData {
    nonce: String,
}

impl Api {
    /// A client with the host, the app and the token of these settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let client = Client::builder().connect_timeout(CONNECT).redirect(no_redirects());
        // The API within a private network, and one on this machine, are behind no proxy.
        let is_direct = settings.host.scheme() == "http";
        let client = if is_direct { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| {
            BackendError::new(format!("the HTTP client can't be set up: {}", root(&error)))
        })?;
        let authorization = Zeroizing::new(format!("Bearer {}", *settings.token));
        let authorization = HeaderValue::from_str(&authorization);
        let mut authorization = authorization
            .map_err(|_| BackendError::new("the API token has characters that no token has"))?;
        authorization.set_sensitive(true);
        let (host, app, token) =
            (settings.host.clone(), settings.app.clone(), settings.token.clone());
        Ok(Self { client, host, app, token, authorization })
    }

    /// Creates a machine, and starts it. `secret` must not appear in the error.
    pub(super) async fn create(
        &self,
        machine: &Value,
        secret: &str,
        limit: Duration,
    ) -> Result<Machine, ApiError> {
        let url = self.machines(&self.app, &[]);
        let created = self.post(url, machine, limit).await.and_then(|body| read(&body));
        created.map_err(|error| error.without(secret))
    }

    /// A machine of the app; `None` if there is none with this id.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Machine>, ApiError> {
        self.get_of(&self.app, id).await
    }

    /// A machine of any app that the token can see.
    pub(super) async fn get_of(&self, app: &str, id: &str) -> Result<Option<Machine>, ApiError> {
        let request = self.request(Method::GET, self.machines(app, &[id]));
        match self.send(request, ANSWER).await {
            Ok(body) => read(&body).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the machine has stopped or is destroyed, for as long as a long poll lasts. Fly's
    /// own client names several states in the same way (superfly/fly-go, flaps_machines_wait.go).
    pub(super) async fn wait(&self, id: &str, instance_id: Option<&str>) -> Waited {
        let mut url = self.machines(&self.app, &[id, "wait"]);
        let seconds = WAIT.as_secs().to_string();
        url.query_pairs_mut()
            .append_pair("state", "stopped")
            .append_pair("state", "destroyed")
            .append_pair("timeout", &seconds);
        if let Some(instance_id) = instance_id {
            url.query_pairs_mut().append_pair("instance_id", instance_id);
        }
        match self.send(self.request(Method::GET, url), WAIT + ANSWER).await {
            Ok(_) => Waited::Reached,
            Err(error) if error.is_not_found() => Waited::Reached,
            Err(ApiError { kind: ErrorKind::Status { code: 408, .. }, .. }) => Waited::TimedOut,
            Err(_) => Waited::Error,
        }
    }

    /// Destroys a machine, whether it runs or not. Does nothing if there is none with this id.
    pub(super) async fn destroy(&self, id: &str, nonce: Option<&str>) -> Result<(), ApiError> {
        let mut url = self.machines(&self.app, &[id]);
        url.query_pairs_mut().append_pair("force", "true");
        let mut request = self.request(Method::DELETE, url);
        if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
            request.headers_mut().insert(NONCE, nonce);
        }
        match self.send(request, ANSWER).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The machines of the app with this metadata value, except those that are destroyed.
    pub(super) async fn list(&self, key: &str, value: &str) -> Result<Vec<Machine>, ApiError> {
        let mut url = self.machines(&self.app, &[]);
        url.query_pairs_mut().append_pair(&format!("metadata.{key}"), value);
        let body = self.send(self.request(Method::GET, url), ANSWER).await?;
        let listed: Option<Vec<Machine>> = read(&body)?;
        let is_asked_for = |machine: &Machine| machine.value(key) == Some(value);
        Ok(listed.into_iter().flatten().filter(is_asked_for).collect())
    }

    /// Takes the lease of a machine, so that nobody else changes it for a while. Returns its nonce.
    pub(super) async fn lease(&self, id: &str) -> Result<String, ApiError> {
        let url = self.machines(&self.app, &[id, "lease"]);
        let body = serde_json::json!({ "ttl": LEASE, "description": "flame: an orphan" });
        let body = self.post(url, &body, ANSWER).await?;
        read(&body).map(|Lease { data: LeaseData { nonce } }| nonce)
    }

    fn machines(&self, app: &str, path: &[&str]) -> Url {
        let mut url = self.host.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "apps", app, "machines"]).extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request
    }

    async fn post(&self, url: Url, body: &Value, limit: Duration) -> Result<Vec<u8>, ApiError> {
        let sending = self.client.post(url).header(AUTHORIZATION, &self.authorization).json(body);
        let request = sending.build();
        let request = request.map_err(|error| ApiError::new(ErrorKind::Unreachable, root(&error)));
        self.send(request?, limit).await
    }

    /// The body of the answer, unless the answer is an error.
    async fn send(&self, request: Request, limit: Duration) -> Result<Vec<u8>, ApiError> {
        let answered = tokio::time::timeout(limit, async {
            let response = self.client.execute(request).await.map_err(of_client)?;
            let status = response.status();
            let header = |name: &str| response.headers().get(name)?.to_str().ok();
            let retry_after = header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
            let request_id = header(REQUEST_ID).map(str::to_owned);
            let body = body(response).await?;
            if status.is_success() {
                return Ok(body);
            }
            let retry_after = retry_after.map(Duration::from_secs);
            Err(ApiError::of_answer(status.as_u16(), retry_after, request_id, &body))
        });
        let late = |_| Err(ApiError::new(ErrorKind::NoAnswer(limit), ""));
        answered.await.unwrap_or_else(late).map_err(|error| error.without(&self.token))
    }
}

/// The token is for the host that was named.
fn no_redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::none()
}

async fn body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(of_client)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(ApiError::new(ErrorKind::Unreadable, "it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let read = serde_json::from_slice(body);
    read.map_err(|error| ApiError::new(ErrorKind::Unreadable, error.to_string()))
}

fn of_client(error: reqwest::Error) -> ApiError {
    let kind = if error.is_connect() { ErrorKind::Unreachable } else { ErrorKind::Broken };
    ApiError::new(kind, root(&error))
}

/// The innermost reason. The outer ones only repeat what was being done.
fn root(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
