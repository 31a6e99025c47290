//! The parts of a request that decide about it: path, key, and the address of the client. Pure:
//! strangers choose every byte of them.

use std::net::IpAddr;

use flame_wire::ids::{InvalidRunnerRef, RunnerRef};
use flame_wire::relay::{InvalidTicket, PARENT_PATH, RUNNER_PATH, SOCKET_PATH, Ticket};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// The header to which a load balancer appends the address of its client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// A path that the relay serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// `/healthz`: whether the process works.
    Health,
    /// `/readyz`: whether the relay admits connections.
    Readiness,
    /// `/metrics`.
    Metrics,
    /// A parent's control connection.
    Parent,
    /// A runner's socket. The path may name no valid runner ref.
    Runner(Result<RunnerRef, InvalidRunnerRef>),
    /// A parent's socket to one runner. The path may name no valid ticket.
    Socket(Result<Ticket, InvalidTicket>),
}

impl Route {
    /// The route of this path, without a query; `None` if the relay does not serve it.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Route::Health),
            "/readyz" => Some(Route::Readiness),
            "/metrics" => Some(Route::Metrics),
            PARENT_PATH => Some(Route::Parent),
            path => {
                let runner = path.strip_prefix(RUNNER_PATH).map(|id| Route::Runner(id.parse()));
                runner
                    .or_else(|| path.strip_prefix(SOCKET_PATH).map(|id| Route::Socket(id.parse())))
            }
        }
    }
}

/// The key in the `Authorization` header, if there is one.
#[must_use]
pub fn bearer_key(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

/// The address of the client that a load balancer reports, if it reports one.
#[must_use]
pub fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    // The load balancer appends its client to what the client has sent.
    let header = headers.get_all(FORWARDED_FOR).into_iter().next_back()?;
    header.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
