//! A forwarder of WebSocket messages with plain tokio-tungstenite: the least that a relay could be.

use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async_with_config, client_async_with_config};

use super::{dial, ws};
use crate::condition::Condition;
use crate::process::exit_when_abandoned;

/// The arguments of a forwarder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// The measuring process.
    to: SocketAddr,
}

impl Hop {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            [to] => to.parse().map(|to| Self { to }).map_err(|_| format!("{to} is no address")),
            _ => Err("a hop needs the address of the measuring process".to_owned()),
        }
    }

    /// Prints its address, accepts one connection, and forwards until one side closes.
    pub(crate) fn run(&self) {
        exit_when_abandoned();
        Condition::default().runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port to listen on");
            println!("{}", listener.local_addr().expect("the listener's address"));
            let (near, _) = listener.accept().await.expect("a connection of the echo process");
            near.set_nodelay(true).expect("a socket without delay");
            let near =
                accept_async_with_config(near, Some(ws::config())).await.expect("a handshake");
            let (far, _) =
                client_async_with_config(ws::URL, dial(self.to).await, Some(ws::config()))
                    .await
                    .expect("a handshake");
            let ((to_near, from_near), (to_far, from_far)) = (near.split(), far.split());
            // Any error means that one side has closed the connection.
            let ended = select(from_near.forward(to_far), from_far.forward(to_near)).await;
            drop::<Either<_, _>>(ended);
        });
    }
}
