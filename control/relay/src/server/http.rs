//! The paths of a relay, and the answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flame_wire::relay::{PARENT_PATH, RUNNER_PATH, SOCKET_PATH};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::handshakes::Handshake;
use super::shared::Shared;
use super::{control, pairing, upgrade};
use crate::core::Refusal;
use crate::keys::KeyId;

/// The client of a request.
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) handshake: Handshake,
}

type Answer = Response<Full<Bytes>>;

/// Answers a request. The answer to a runner waits for its parent.
pub(super) async fn answer(client: Client, request: Request<Incoming>) -> Answer {
    let address = client.address(&request);
    let path = request.uri().path().to_owned();
    let answer = match path.as_str() {
        "/healthz" => Ok(text(StatusCode::OK, "ok")),
        "/readyz" => Ok(client.readiness()),
        "/metrics" => Ok(text(StatusCode::OK, client.shared.render_metrics())),
        PARENT_PATH => client.parent(address, request),
        path => match (path.strip_prefix(RUNNER_PATH), path.strip_prefix(SOCKET_PATH)) {
            (Some(runner), _) => client.runner(address, runner, request).await,
            (_, Some(ticket)) => client.socket(address, ticket, request),
            _ => Err(Refusal::UnknownPath),
        },
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
        runner: &str,
        mut request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let answer = upgrade::switching_protocols(&request)?;
        let runner = runner.parse().map_err(|_| Refusal::UnknownRunner)?;
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
        ticket: &str,
        mut request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let key = self.authenticate(&request)?;
        let answer = upgrade::switching_protocols(&request)?;
        let ticket = ticket.parse().map_err(|_| Refusal::UnknownTicket)?;
        let pair = self.shared.socket_arrived(ticket, key, address)?;
        self.handshake.end();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(pairing::run(self.shared.clone(), pair, upgrade));
        Ok(answer)
    }

    fn authenticate(&self, request: &Request<Incoming>) -> Result<KeyId, Refusal> {
        let header = request.headers().get(AUTHORIZATION).ok_or(Refusal::Unauthorized)?;
        let key = bearer(header).ok_or(Refusal::Unauthorized)?;
        self.shared.keys.read().find(key).ok_or(Refusal::Unauthorized)
    }

    /// The address that counts for the limits: the address of the connection, or the one that a
    /// load balancer reports.
    fn address(&self, request: &Request<Incoming>) -> IpAddr {
        let forwarded = self.shared.config.trust_forwarded_for.then(|| {
            // The load balancer appends its client to what the client has sent.
            let header = request.headers().get_all("x-forwarded-for").into_iter().next_back()?;
            header.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        });
        forwarded.flatten().unwrap_or(self.peer.ip())
    }
}

/// The key in an `Authorization` header.
fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, key) = header.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

fn text(status: StatusCode, body: impl Into<String>) -> Answer {
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
