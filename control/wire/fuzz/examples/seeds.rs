//! Writes one valid input of each kind into `corpus/`, for the targets whose inputs have structure
//! that mutations seldom find: `cargo run --example seeds`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use flame_wire::FlameParent;
use flame_wire::code::{CodeHash, Offer, OfferReply};
use flame_wire::hello::{Hello, HelloReply, PROTOCOL, Proof, Rejection};
use flame_wire::ids::{BuildId, RunnerRef};
use flame_wire::parent::{Fingerprint, HostKind, RunnerLimits};
use flame_wire::relay::{ParentToRelay, RelayToParent, Ticket};
use flame_wire::token::Token;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    parent()?;
    hello()?;
    relay()
}

const RUNNER: RunnerRef = RunnerRef::from_bytes([0xab; 16]);

fn parent() -> Result<(), Box<dyn std::error::Error>> {
    let parent = FlameParent {
        addresses: vec!["wss://relay-1.example:443/v1/runner/f-1".into(), "ws://[::1]:4100".into()],
        runner: RUNNER,
        token: Token::from_bytes([7; 32]),
        expires_unix_ms: Some(1_800_000_000_000),
        fingerprint: Fingerprint([9; 32]),
        host: HostKind::Lambda,
        pool: "thumbs".into(),
        depth: 1,
        limits: RunnerLimits::default(),
    };
    let text = parent.encode()?;
    write("parent", "text", text.as_bytes())?;
    let sealed = text.split_once('.').ok_or("no prefix")?.1;
    // Without the length and the checksum, which the target adds.
    write("parent", "document", &URL_SAFE_NO_PAD.decode(sealed)?[10..])
}

fn hello() -> Result<(), Box<dyn std::error::Error>> {
    let hello = Hello {
        protocol: PROTOCOL,
        runner: RUNNER,
        proof: Proof::BootToken(Token::from_bytes([7; 32])),
        build: BuildId::new("b1"),
        instance: "pid-9".into(),
        pid: Some(9),
        expires_in_ms: Some(900_000),
        synced: true,
        incarnation: u64::MAX,
        supervised: true,
    };
    let resumed = Hello { proof: Proof::ResumeKey(Token::from_bytes([8; 32])), ..hello.clone() };
    for (name, hello) in [("boot", hello), ("resume", resumed)] {
        let mut bytes = BytesMut::new();
        hello.encode_to(&mut bytes)?;
        write("hello", name, &bytes)?;
    }
    let offer = Offer {
        build: BuildId::new("b2"),
        len: 300,
        hash: CodeHash([5; 32]),
        target: "linux-x86_64".into(),
    };
    for (name, reply) in [
        ("welcome", HelloReply::Welcome { resume: Token::from_bytes([8; 32]) }),
        ("rejected", HelloReply::Rejected(Rejection::WrongToken)),
        ("offer", HelloReply::CodeOffered(offer)),
    ] {
        let mut bytes = BytesMut::new();
        reply.encode_to(&mut bytes)?;
        write("hello", name, &bytes)?;
    }
    let mut bytes = BytesMut::new();
    OfferReply::Failed("the disk is full".into()).encode_to(&mut bytes)?;
    write("hello", "failed", &bytes)
}

fn relay() -> Result<(), Box<dyn std::error::Error>> {
    let ticket = Ticket::from_bytes([3; 16]);
    write("relay", "runner_ref", RUNNER.to_string().as_bytes())?;
    write("relay", "ticket", ticket.to_path().as_bytes())?;
    for (name, message) in [
        ("register", ParentToRelay::Register { runners: vec![RUNNER; 2], expires_in_ms: 60_000 }),
        ("unregister", ParentToRelay::Unregister { runners: vec![RUNNER] }),
    ] {
        write("relay", name, &message.encode()?)?;
    }
    let (node, address) = ("00ff".to_owned(), Some("ws://10.0.0.7:4100".to_owned()));
    for (name, message) in [
        ("welcome", RelayToParent::Welcome { node, address, max_runners: 10_000 }),
        ("waiting", RelayToParent::RunnerWaiting { runner: RUNNER, ticket, within_ms: 8_000 }),
        ("draining", RelayToParent::Draining { within_ms: 30_000 }),
        ("rejected", RelayToParent::Rejected { runners: vec![RUNNER], max_runners: 1 }),
    ] {
        write("relay", name, &message.encode()?)?;
    }
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}
