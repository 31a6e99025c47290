//! The link: the encrypted, multiplexed, resumable channel between one parent and one runner.
//!
//! ```text
//!  app        Link, Stream    messages on streams                           link.rs, open.rs, stream.rs
//!             Mux             frames of at most 32 KiB, credit              flame_wire::mux
//!             Session         numbered packets, replayed on a new socket    flame_wire::session
//!             Driver          one task: moves packets, reads the clock      driver.rs
//!             TLS 1.3         the parent's key is pinned                    tls.rs
//!             WebSocket       binary messages                               websocket.rs
//!             (TLS)           only for wss://, up to a load balancer        outer_tls.rs
//!  network    TCP             the runner connects to the parent             dial.rs, accept.rs, network.rs
//! ```
//!
//! Every layer up to TLS turns one [`Io`] into another, so any byte stream can carry a link. The
//! two ends of a link differ only in who connects and in how they number their streams. The state
//! machines are pure and live in `flame-wire`; this crate adds the socket, the task and the clock.

mod accept;
mod attempts;
mod code;
mod dial;
mod driver;
mod error;
mod handshake;
mod hello;
mod io;
mod keepalive;
mod link;
mod network;
mod open;
mod outer_tls;
mod relay_client;
mod state;
mod stream;
mod tls;
mod traffic;
mod websocket;

pub use accept::{AcceptError, accept, accept_tls, accept_websocket};
pub use attempts::Attempts;
pub use code::{
    ChunkSource, CodeDownload, CodeOrigin, CodeUpload, UploadError, UploadOutcome, UrlSource,
};
pub use dial::{DialError, dial, is_address, is_relay_address};
pub use driver::{Dial, Driver, Handler, LinkConfig, SocketSource};
pub use error::{LinkClosed, LinkEnd, StreamError};
pub use handshake::HelloError;
pub use hello::{HelloOutcome, IncomingHello, say_hello};
pub use io::{Io, in_memory};
pub use link::Link;
pub use network::SocketListener;
pub use relay_client::{RelayDialError, RelayMessage, RelaySocket, RelaySocketError, dial_relay};
pub use stream::Stream;
pub use tls::{ServerKey, TlsError};
pub use traffic::Traffic;

/// For tests that simulate the network.
#[doc(hidden)]
pub mod simulation {
    pub use crate::network::{NetworkSimulation, SimulatedListener, SimulatedNetwork};
}

#[cfg(test)]
mod tests;
