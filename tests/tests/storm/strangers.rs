//! Those who dial the listener and should not. None may come in, and no call may suffer.

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

use crate::callers::{Callers, Hardship};
use crate::ground::Ground;
use crate::report::Part;

/// At a time.
const STRANGERS: usize = 12;
/// What one of them keeps open while it goes on.
const KEPT: usize = 12;

const UPGRADE: &[u8] = b"GET /flame/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) async fn rage(ground: &Arc<Ground>, time: Duration) {
    let pool = ground.pool().start().await.expect("the pool starts");
    let before = ground.runners();
    let callers = Callers::start(ground, &pool, Hardship::None);
    flame_tests::until("a runner has served", || ground.runners() > before).await;

    let (stop, stopped) = watch::channel(false);
    let strangers = (0..STRANGERS).map(|number| {
        let (ground, stopped) = (ground.clone(), stopped.clone());
        tokio::spawn(async move {
            let random = ground.random(&format!("stranger {number}"));
            let mut stranger = Stranger { ground, random, kept: Vec::new() };
            while !*stopped.borrow() {
                stranger.dials().await;
            }
        })
    });
    let strangers: Vec<_> = strangers.collect();
    tokio::time::sleep(time).await;
    stop.send_replace(true);
    for stranger in strangers {
        stranger.await.expect("a stranger does not panic");
    }
    callers.stop().await;
    crate::end(ground, pool).await;
}

struct Stranger {
    ground: Arc<Ground>,
    random: StdRng,
    kept: Vec<TcpStream>,
}

impl Stranger {
    async fn dials(&mut self) {
        // The last one is of the pool that listens; the other one may be of the pool before.
        let (last, mut document) = self.ground.documents(&mut self.random);
        let address = last.address.strip_prefix("ws://").expect("it is in the clear").to_owned();
        let name = match self.random.random_range(0..10) {
            0 => {
                let mut noise = vec![0; self.random.random_range(1..20_000)];
                self.random.fill_bytes(&mut noise);
                self.says(&address, &noise).await;
                "garbage"
            }
            1 => {
                self.says(&address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
                "plain HTTP"
            }
            2 => {
                let mut words = UPGRADE.to_vec();
                words.resize(words.len() + self.random.random_range(1..5_000), 0x5a);
                self.says(&address, &words).await;
                "garbage in a WebSocket"
            }
            3 => {
                // The head of a ClientHello, in a binary message whose mask is nothing.
                let half = b"\x82\x8b\0\0\0\0\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
                self.keeps(&address, &[UPGRADE, half].concat()).await;
                "half of a TLS handshake, kept open"
            }
            4 => {
                self.keeps(&address, b"").await;
                "silence, kept open"
            }
            5 => {
                self.drips(&address).await;
                "a byte now and then"
            }
            6 => {
                document.token = Token::from_bytes(self.random.random());
                let proof = Proof::BootToken(document.token.clone());
                self.knocks(&document, proof).await;
                "a wrong token"
            }
            7 => {
                let proof = Proof::ResumeKey(Token::from_bytes(self.random.random()));
                self.knocks(&document, proof).await;
                "a wrong key to come back"
            }
            8 => {
                document.runner = RunnerRef::from_bytes(self.random.random());
                let proof = Proof::BootToken(document.token.clone());
                self.knocks(&document, proof).await;
                "a runner that nobody knows"
            }
            _ => {
                let proof = Proof::BootToken(document.token.clone());
                self.knocks(&document, proof).await;
                "a hello that was said before"
            }
        };
        self.ground.calls.count(Part::Mischief, name, 1);
        self.ground.calls.count(Part::Faults, "strangers let in", 0);
    }

    /// Says something, and hears what comes of it.
    async fn says(&mut self, address: &str, words: &[u8]) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        // It may hang up before it has read all.
        let _ = socket.write_all(words).await;
        if self.random.random() {
            let _ = socket.shutdown().await;
            let _ = timeout(Duration::from_secs(1), socket.read_to_end(&mut Vec::new())).await;
        } else {
            let _ = socket.set_zero_linger();
        }
    }

    /// Says something, and stays; one that stayed before goes.
    async fn keeps(&mut self, address: &str, words: &[u8]) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        let _ = socket.write_all(words).await;
        self.kept.push(socket);
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
    }

    async fn drips(&mut self, address: &str) {
        let Ok(mut socket) = TcpStream::connect(address).await else { return };
        for byte in UPGRADE.chunks(1).take(self.random.random_range(1..60)) {
            if socket.write_all(byte).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Comes as a runner does, with a proof that is not good.
    async fn knocks(&self, document: &FlameParent, proof: Proof) {
        let mut hello = impostor::hello(document);
        hello.proof = proof;
        // A listener with too many at its door may hang up on any; the pool before this one is gone.
        let Ok(io) = dial(&document.address, document.fingerprint).await else { return };
        if let Ok(HelloOutcome::Welcomed(..)) = say_hello(io, &hello).await {
            let words = format!("{:?} as {}", hello.proof, hello.runner);
            self.ground.calls.wrong("strangers let in", &words);
        }
    }
}
