//! The link: the encrypted, multiplexed, resumable channel between one parent and one runner.
//!
//! ```text
//!  app        Link, Stream            messages on streams                       handle.rs
//!             Mux                     frames of at most 32 KiB, credit          flame_wire::mux
//!             Session                 numbered packets, replayed on a new socket  flame_wire::session
//!             Driver                  one task: moves packets, tells the time   driver.rs
//!             TLS 1.3                 the parent's key is pinned                tls.rs
//!             WebSocket               binary messages                           websocket.rs
//!  network    TCP                     the runner dials                          dial.rs, accept.rs
//! ```
//!
//! Both ends are alike but for who dials and who numbers its streams how. The state machines are
//! pure and live in `flame-wire`; this crate adds the socket, the task and the clock.

mod accept;
mod code;
mod dial;
mod driver;
mod front;
mod handle;
mod hello;
mod io;
mod keepalive;
mod tls;
mod websocket;

pub use accept::{AcceptError, accept};
pub use code::{Chunks, HandedOver, OfferError, Offered, Offering};
pub use dial::{DialError, dial, is_address};
pub use driver::{Dial, Driver, Handler, LinkConfig, Sockets};
pub use handle::{Link, LinkClosed, LinkEnd, Stream, StreamError};
pub use hello::{Greeted, Greeting, HelloError, greet};
pub use io::{Io, in_memory};
pub use tls::{ServerKey, TlsError};

#[cfg(test)]
mod tests;
