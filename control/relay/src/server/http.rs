//! The paths of a relay, and the answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flame_wire::ids::RunnerRef;
use flame_wire::relay::Ticket;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::handshakes::Handshake;
use super::shared::Shared;
use super::{control, pairing, upgrade};
use crate::core::Refusal;
use crate::keys::KeyId;
use crate::request::{self, Route};

/// The client of a request.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) handshake: Handshake,
}

pub(super) type Answer = Response<Full<Bytes>>;

/// Answers a request. The answer to a runner waits for its parent.
pub(super) async fn answer(client: Client, request: Request<Incoming>) -> Answer {
    let address = client.address(&request);
    let answer = match Route::of(request.uri().path()) {
        Some(Route::Health) => Ok(text(StatusCode::OK, "ok")),
        Some(Route::Readiness) => Ok(client.readiness()),
        Some(Route::Metrics) => client.metrics(),
        Some(Route::Parent) => client.parent(address, request),
        Some(Route::Runner(runner)) => client.runner(address, runner.ok(), request).await,
        Some(Route::Socket(ticket)) => client.socket(address, ticket.ok(), request),
        None => Err(Refusal::UnknownPath),
    };
    answer.unwrap_or_else(|refusal| {
        client.shared.metrics.refused(refusal.reason());
        let status = StatusCode::from_u16(refusal.status());
        text(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), refusal.to_string())
    })
}

impl Client {
    fn readiness(&self) -> Answer {
        if self.shared.is_draining() {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else {
            text(StatusCode::OK, "ready")
        }
    }

    fn metrics(&self) -> Result<Answer, Refusal> {
        if self.shared.config.metrics_listen.is_some() {
            // Only the other address serves them.
            return Err(Refusal::UnknownPath);
        }
        Ok(metrics(&self.shared))
    }

    fn parent(&self, address: IpAddr, mut request: Request<Incoming>) -> Result<Answer, Refusal> {
        let key = self.authenticate(&request)?;
        let answer = upgrade::switching_protocols(&request)?;
        let admitted = self.shared.parent_connected(key, address)?;
        self.handshake.end();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(control::run(self.shared.clone(), self.peer, admitted, upgrade));
        Ok(answer)
    }

    async fn runner(
        &self,
        address: IpAddr,
        runner: Option<RunnerRef>,
        mut request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let answer = upgrade::switching_protocols(&request)?;
        let runner = runner.ok_or(Refusal::UnknownRunner)?;
        let upgrade = hyper::upgrade::on(&mut request);
        let waiting = self.shared.runner_arrived(runner, address, upgrade).inspect_err(|refusal| {
            tracing::debug!(peer = %self.peer, %runner, reason = refusal.reason(), "refused a runner");
        })?;
        self.handshake.end();
        tracing::debug!(peer = %self.peer, %runner, "a runner waits for its parent");
        waiting.answer.await.unwrap_or(Err(Refusal::ParentLost)).inspect_err(|refusal| {
            tracing::info!(peer = %self.peer, %runner, reason = refusal.reason(), "refused a runner");
        })?;
        // The pair's task reports the end.
        waiting.connection.hand_over();
        Ok(answer)
    }

    fn socket(
        &self,
        address: IpAddr,
        ticket: Option<Ticket>,
        mut request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let key = self.authenticate(&request)?;
        let answer = upgrade::switching_protocols(&request)?;
        let ticket = ticket.ok_or(Refusal::UnknownTicket)?;
        let pair = self.shared.socket_arrived(ticket, key, address)?;
        self.handshake.end();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(pairing::run(self.shared.clone(), pair, upgrade));
        Ok(answer)
    }

    fn authenticate(&self, request: &Request<Incoming>) -> Result<KeyId, Refusal> {
        let key = request::bearer_key(request.headers()).ok_or(Refusal::Unauthorized)?;
        self.shared.keys.read().find(key).ok_or(Refusal::Unauthorized)
    }

    /// The address that counts for the limits: the address of the connection, or the one that a
    /// load balancer reports.
    fn address(&self, request: &Request<Incoming>) -> IpAddr {
        let trusted = self.shared.config.trust_forwarded_for;
        let forwarded = trusted.then(|| request::forwarded_for(request.headers()));
        forwarded.flatten().unwrap_or(self.peer.ip())
    }
}

/// The metrics as Prometheus reads them.
pub(super) fn metrics(shared: &Shared) -> Answer {
    text(StatusCode::OK, shared.render_metrics())
}

pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    let mut body = body.into();
    if !body.ends_with('\n') {
        body.push('\n');
    }
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, text);
    // One request for each connection: a client that is not admitted does not keep its socket.
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
