//! A client that connects to a pool in place of a runner, and sends packets that no runner
//! would send.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use flame_link::{CodeDownload, DialError, HelloError, HelloOutcome, Io, dial, say_hello};
use flame_runner_shim::build_id::build_id;
use flame_wire::hello::{Hello, PROTOCOL, Proof};
use flame_wire::packet::Packet;
use flame_wire::parent::FlameParent;
use flame_wire::token::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reads the file that a child with `DEMO_WRITE_PARENT_TO` has written.
#[must_use]
pub fn flame_parent(file: &Path) -> FlameParent {
    let text = std::fs::read_to_string(file).expect("the child has written its FLAME_PARENT");
    FlameParent::decode(&text).expect("a pool has encoded it")
}

/// Returns the hello of a runner of this build.
#[must_use]
pub fn hello(parent: &FlameParent) -> Hello {
    Hello {
        protocol: PROTOCOL,
        runner: parent.runner,
        proof: Proof::BootToken(parent.token.clone()),
        build: build_id().expect("this executable can be read").clone(),
        instance: "an impostor".to_owned(),
        pid: None,
        expires_in_ms: None,
        synced: false,
        incarnation: 0,
        supervised: false,
    }
}

/// Connects and sends `hello`. Returns the connection if the parent admits it.
///
/// # Errors
/// Returns an error if the parent rejects the hello.
pub async fn connect(parent: &FlameParent, hello: &Hello) -> Result<(Io, Token), HelloError> {
    match greet_parent(parent, hello).await? {
        HelloOutcome::Welcomed(io, resume) => Ok((io, resume)),
        HelloOutcome::CodeOffered(offered) => {
            panic!("the hello is of this build, and was offered code: {offered:?}")
        }
    }
}

/// Connects and sends a `hello` of another build. Returns the executable that the parent offers.
///
/// # Errors
/// Returns an error if the parent rejects the hello.
pub async fn connect_for_code(
    parent: &FlameParent,
    hello: &Hello,
) -> Result<CodeDownload, HelloError> {
    match greet_parent(parent, hello).await? {
        HelloOutcome::CodeOffered(offered) => Ok(offered),
        HelloOutcome::Welcomed(..) => panic!("the hello is of another build, and was admitted"),
    }
}

async fn greet_parent(parent: &FlameParent, hello: &Hello) -> Result<HelloOutcome, HelloError> {
    say_hello(reach(parent).await, hello).await
}

/// Connects to the parent. Tries again while the parent's relay does not know the runner yet: a parent
/// registers a runner while it boots it.
pub async fn reach(parent: &FlameParent) -> Io {
    loop {
        match dial(&parent.addresses[0], parent.fingerprint).await {
            Err(DialError::UpgradeRejected { status: 404, .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            dialed => return dialed.expect("the parent listens"),
        }
    }
}

/// Begins a session, as a runner does.
pub async fn resume(io: &mut Io) {
    send(io, &Packet::Resume { next: 0 }).await;
}

/// Sends a packet.
pub async fn send(io: &mut Io, packet: &Packet) {
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    io.write_all(&out).await.expect("the parent reads");
    io.flush().await.expect("the parent reads");
}

/// Waits until the parent closes the connection.
pub async fn until_hung_up(io: &mut Io) {
    let mut chunk = [0; 4096];
    while io.read(&mut chunk).await.is_ok_and(|len| len > 0) {}
}
