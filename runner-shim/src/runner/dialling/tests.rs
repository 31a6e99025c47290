//! A dialler and the listeners of fake parents, on loopback.

use flame_link::{IncomingHello, ServerKey, accept};
use flame_wire::hello::PROTOCOL;
use flame_wire::ids::{BuildId, RunnerRef};
use flame_wire::parent::HostKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// An address at which nothing listens.
async fn dead_address() -> String {
    listener().await.1
}

fn dialler(addresses: Vec<String>, key: &ServerKey) -> Dialler {
    let runner = RunnerRef::from_bytes([1; 16]);
    let hello = Hello {
        protocol: PROTOCOL,
        runner,
        proof: Proof::BootToken(Token::from_bytes([1; 32])),
        build: BuildId::new("build"),
        instance: "test".to_owned(),
        pid: None,
        expires_in_ms: None,
        synced: false,
        supervised: false,
        incarnation: 1,
    };
    let connect = Connect::Dial { addresses, fingerprint: key.fingerprint() };
    let (events, _) = mpsc::unbounded_channel();
    let sync = CodeSync::of(runner, HostKind::Process);
    Dialler::new(connect, hello, sync, Duration::from_secs(60), events)
}

/// Accepts one runner, and returns how it has proved itself.
async fn welcome_one(listener: &TcpListener, key: &ServerKey) -> (Proof, Io) {
    let (tcp, _) = listener.accept().await.unwrap();
    let incoming = IncomingHello::read(accept(Io::new(tcp), key).await.unwrap()).await.unwrap();
    let proof = incoming.hello.proof.clone();
    (proof, incoming.welcome(Token::from_bytes([2; 32])).await.unwrap())
}

/// Answers one request as a relay that does not know the runner.
async fn reject_one(listener: &TcpListener) {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(tcp.read_u8().await.unwrap());
    }
    let response = b"HTTP/1.1 404 Not Found\r\ncontent-length: 15\r\n\r\nunknown runner\n";
    tcp.write_all(response).await.unwrap();
}

fn is_connected(outcome: &Result<ConnectOutcome, ConnectError>) -> bool {
    matches!(outcome, Ok(ConnectOutcome::Connected(_)))
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_fails() {
    let key = ServerKey::generate().unwrap();
    let ((relay, at_relay), (parent, at_parent)) = (listener().await, listener().await);
    let dialler = dialler(vec![dead_address().await, at_relay, at_parent], &key);
    let welcomed = async {
        reject_one(&relay).await;
        welcome_one(&parent, &key).await
    };
    let ((proof, _io), outcome) = tokio::join!(welcomed, dialler.connect());
    assert!(is_connected(&outcome));
    assert!(matches!(proof, Proof::BootToken(_)));
}

#[tokio::test]
async fn a_failed_attempt_names_its_address_and_is_repeated_sooner_if_a_relay_has_answered() {
    let key = ServerKey::generate().unwrap();
    let ((relay, at_relay), (closing, at_closing)) = (listener().await, listener().await);
    let dead = dead_address().await;
    let dialler = dialler(Vec::new(), &key);
    let failed = async |address: &str| {
        let failure = dialler.dial(address.to_owned()).await.err().unwrap();
        assert!(failure.error.contains(address), "{}", failure.error);
        failure
    };
    let FailedAttempt { error, backoff } = failed(&dead).await;
    assert!(error.contains("cannot connect"), "{error}");
    assert_eq!(backoff, BACKOFF);
    let ((), FailedAttempt { error, backoff }) =
        tokio::join!(reject_one(&relay), failed(&at_relay));
    assert!(error.contains("HTTP status 404: unknown runner"), "{error}");
    assert_eq!(backoff, dialler.at_relay);
    let closes = async {
        let (tcp, _) = closing.accept().await.unwrap();
        drop(accept(Io::new(tcp), &key).await.unwrap());
    };
    let ((), io) = tokio::join!(closes, dialler.dial(at_closing.clone()));
    let Err(AttemptError::Retry(failure)) = dialler.say_hello(io.ok().unwrap()).await else {
        panic!("the hello fails")
    };
    let error = failure.in_hello_at(&at_closing).error;
    assert!(error.contains(&format!("the hello to the parent at {at_closing} failed")), "{error}");
}

#[tokio::test]
async fn a_runner_connects_again_at_the_address_that_worked_last() {
    let key = ServerKey::generate().unwrap();
    let ((relay, at_relay), (parent, at_parent)) = (listener().await, listener().await);
    let dialler = dialler(vec![at_relay, at_parent], &key);
    let first = async {
        reject_one(&relay).await;
        welcome_one(&parent, &key).await
    };
    let (_, outcome) = tokio::join!(first, dialler.connect());
    assert!(is_connected(&outcome));
    // Nothing answers at the first address.
    let ((proof, _io), outcome) = tokio::join!(welcome_one(&parent, &key), dialler.connect());
    assert!(is_connected(&outcome));
    assert!(matches!(proof, Proof::ResumeKey(_)));
}

#[tokio::test]
async fn a_runner_connects_again_at_the_addresses_that_replace_the_old_ones() {
    let key = ServerKey::generate().unwrap();
    let ((old, at_old), (new, at_new)) = (listener().await, listener().await);
    let dialler = dialler(vec![at_old], &key);
    let (_, outcome) = tokio::join!(welcome_one(&old, &key), dialler.connect());
    assert!(is_connected(&outcome));
    dialler.addresses().replace(vec![at_new]);
    let ((proof, _io), outcome) = tokio::join!(welcome_one(&new, &key), dialler.connect());
    assert!(is_connected(&outcome));
    assert!(matches!(proof, Proof::ResumeKey(_)));
}
