//! One that dials a pool in a runner's place, and says what no runner would.

use std::path::Path;

use bytes::BytesMut;
use flame_link::{CodeDownload, HelloError, HelloOutcome, Io, dial, say_hello};
use flame_runner_shim::build_id::build_id;
use flame_wire::hello::{Hello, PROTOCOL, Proof};
use flame_wire::packet::Packet;
use flame_wire::parent::FlameParent;
use flame_wire::token::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reads what a child with `DEMO_TELL` has written down.
#[must_use]
pub fn flame_parent(file: &Path) -> FlameParent {
    let text = std::fs::read_to_string(file).expect("the child told its FLAME_PARENT");
    FlameParent::decode(&text).expect("a pool made it")
}

/// What a runner of this build says first.
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
    }
}

/// Dials, and says it.
///
/// # Errors
/// What the parent thinks of it.
pub async fn knock(parent: &FlameParent, hello: &Hello) -> Result<(Io, Token), HelloError> {
    match greeted(parent, hello).await? {
        HelloOutcome::Welcomed(io, resume) => Ok((io, resume)),
        HelloOutcome::CodeOffered(offered) => panic!("it is of this build: {offered:?}"),
    }
}

/// The same for one of another build: what the parent offers it.
///
/// # Errors
/// What the parent thinks of it.
pub async fn knock_for_code(
    parent: &FlameParent,
    hello: &Hello,
) -> Result<CodeDownload, HelloError> {
    match greeted(parent, hello).await? {
        HelloOutcome::CodeOffered(offered) => Ok(offered),
        HelloOutcome::Welcomed(..) => panic!("it is of another build, and was let in"),
    }
}

async fn greeted(parent: &FlameParent, hello: &Hello) -> Result<HelloOutcome, HelloError> {
    let io = dial(&parent.address, parent.fingerprint).await.expect("the parent listens");
    say_hello(io, hello).await
}

/// Begins a session as a runner does.
pub async fn resume(io: &mut Io) {
    send(io, &Packet::Resume { next: 0 }).await;
}

/// Sends a packet.
pub async fn send(io: &mut Io, packet: &Packet) {
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    io.write_all(&out).await.expect("the parent takes it");
    io.flush().await.expect("the parent takes it");
}

/// Waits until the parent has hung up.
pub async fn until_hung_up(io: &mut Io) {
    let mut chunk = [0; 4096];
    while io.read(&mut chunk).await.is_ok_and(|len| len > 0) {}
}
