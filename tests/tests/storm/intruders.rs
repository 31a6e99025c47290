//! The storm of intruders: clients that are not runners connect to the listener. None of
//! them may be admitted, and no call may fail because of them.

use std::sync::Arc;
use std::time::Duration;

use flame_link::{HelloOutcome, dial, say_hello};
use flame_tests::impostor;
use flame_wire::hello::Proof;
use flame_wire::ids::RunnerRef;
use flame_wire::parent::FlameParent;
use flame_wire::token::Token;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::options::Extent;
use crate::report::Section;

/// How many intruders there are at a time.
const INTRUDERS: usize = 12;
/// How many connections an intruder keeps open at most.
const KEPT: usize = 12;

const UPGRADE: &[u8] = b"GET /flame/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) async fn run(context: &Arc<StormContext>, Extent { time, .. }: Extent) {
    let pool = context.pool().start().await.expect("the pool starts");
    let before = context.runners();
    let callers = Callers::start(context, &pool, ExpectedErrors::None);
    flame_tests::until("a runner has served", || context.runners() > before).await;

    let (stop, stopped) = watch::channel(false);
    let intruders = (0..INTRUDERS).map(|number| {
        let (context, stopped) = (context.clone(), stopped.clone());
        tokio::spawn(async move {
            let random = context.random(&format!("intruder {number}"));
            let mut intruder = Intruder { context, random, kept: Vec::new() };
            while !*stopped.borrow() {
                intruder.connects().await;
            }
        })
    });
    let intruders: Vec<_> = intruders.collect();
    tokio::time::sleep(time).await;
    stop.send_replace(true);
    for intruder in intruders {
        intruder.await.expect("a intruder does not panic");
    }
    callers.stop().await;
    crate::end(context, pool).await;
}

struct Intruder {
    context: Arc<StormContext>,
    random: StdRng,
    kept: Vec<TcpStream>,
}

impl Intruder {
    async fn connects(&mut self) {
        // The newest is of the pool that listens now; the other may be of an earlier pool.
        let (newest, mut document) = self.context.documents(&mut self.random);
        let address =
            newest.addresses[0].strip_prefix("ws://").expect("the address is a ws URL").to_owned();
        let name = match self.random.random_range(0..10) {
            0 => {
                let mut noise = vec![0; self.random.random_range(1..20_000)];
                self.random.fill_bytes(&mut noise);
                self.sends(&address, &noise).await;
                "garbage"
            }
            1 => {
                self.sends(&address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
                "plain HTTP"
            }
            2 => {
                let mut bytes = UPGRADE.to_vec();
                bytes.resize(bytes.len() + self.random.random_range(1..5_000), 0x5a);
                self.sends(&address, &bytes).await;
                "garbage in a WebSocket"
            }
            3 => {
                // The head of a ClientHello in a binary message, masked with zeros.
                let half = b"\x82\x8b\0\0\0\0\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
                self.sends_and_stays(&address, &[UPGRADE, half].concat()).await;
                "half of a TLS handshake, kept open"
            }
            4 => {
                self.sends_and_stays(&address, b"").await;
                "silence, kept open"
            }
            5 => {
                self.sends_slowly(&address).await;
                "a byte now and then"
            }
            6 => {
                document.token = Token::from_bytes(self.random.random());
                let proof = Proof::BootToken(document.token.clone());
                self.greets(&document, proof).await;
                "a wrong token"
            }
            7 => {
                let proof = Proof::ResumeKey(Token::from_bytes(self.random.random()));
                self.greets(&document, proof).await;
                "a wrong resume key"
            }
            8 => {
                document.runner = RunnerRef::from_bytes(self.random.random());
                let proof = Proof::BootToken(document.token.clone());
                self.greets(&document, proof).await;
                "an unknown runner"
            }
            _ => {
                let proof = Proof::BootToken(document.token.clone());
                self.greets(&document, proof).await;
                "a used token"
            }
        };
        self.context.ledger.count(Section::Disruptions, name, 1);
        self.context.ledger.count(Section::Violations, "intruders admitted", 0);
    }

    /// Sends bytes, and reads the answer or resets the connection.
    async fn sends(&mut self, address: &str, bytes: &[u8]) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        // The listener may close the connection before it has read everything.
        let _ = socket.write_all(bytes).await;
        if self.random.random() {
            let _ = socket.shutdown().await;
            let _ = timeout(Duration::from_secs(1), socket.read_to_end(&mut Vec::new())).await;
        } else {
            let _ = socket.set_zero_linger();
        }
    }

    /// Sends bytes, and keeps the connection open. Closes the oldest connection if there are too
    /// many.
    async fn sends_and_stays(&mut self, address: &str, bytes: &[u8]) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        let _ = socket.write_all(bytes).await;
        self.kept.push(socket);
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
    }

    async fn sends_slowly(&mut self, address: &str) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        for byte in UPGRADE.chunks(1).take(self.random.random_range(1..60)) {
            if socket.write_all(byte).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Connects as a runner does, with an invalid proof.
    async fn greets(&self, document: &FlameParent, proof: Proof) {
        let mut hello = impostor::hello(document);
        hello.proof = proof;
        // An overloaded listener may close any connection, and an earlier pool's listener is gone.
        let Ok(io) = dial(&document.addresses[0], document.fingerprint).await else { return };
        if let Ok(HelloOutcome::Welcomed(..)) = say_hello(io, &hello).await {
            let bytes = format!("{:?} as {}", hello.proof, hello.runner);
            self.context.ledger.violation("intruders admitted", &bytes);
        }
    }
}
