//! Which clients a proxy lets through.

use std::time::Duration;

use flame_wire::relay::RUNNER_PATH;
use tokio::net::TcpStream;

/// The clients that a proxy lets through. It closes the connections of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    All,
    /// Clients of a relay that request the path of a runner.
    Runners,
    /// Clients of a relay that request another path.
    Parents,
}

impl Clients {
    /// Waits for the beginning of the request, unless all clients pass.
    pub(super) async fn include(self, client: &TcpStream) -> bool {
        match self {
            Clients::All => true,
            Clients::Runners => is_runner(client).await == Some(true),
            Clients::Parents => is_runner(client).await == Some(false),
        }
    }
}

/// Returns `None` if the client disconnects first.
async fn is_runner(client: &TcpStream) -> Option<bool> {
    let request = format!("GET {RUNNER_PATH}");
    let mut head = vec![0; request.len()];
    loop {
        let len = client.peek(&mut head).await.ok()?;
        if len == 0 {
            return None;
        }
        if !request.as_bytes().starts_with(&head[..len]) {
            return Some(false);
        }
        if len == request.len() {
            return Some(true);
        }
        // The kernel reports readiness only once for bytes that stay in its buffer.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
